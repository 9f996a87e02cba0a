#ifndef CAFFE_LAYERS_INFOGAIN_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_INFOGAIN_LOSS_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/softmax_layer.hpp"

namespace caffe {

/// loss = -1 / Z * sum over items of sum over classes c of H(label, c) log p(c), where p is the
/// softmax of the scores along infogain_loss_param's axis; with H the identity it is
/// SoftmaxWithLoss. bottom[0] outer x classes x inner scores, bottom[1] outer x inner labels,
/// bottom[2], optional: H, of classes x classes values; without it H is read from the BlobProto
/// file `source`. Z is loss_param's normalization; items of label ignore_label are ignored. A
/// probability below kLOG_THRESHOLD counts as kLOG_THRESHOLD in the loss. top[1], optional: the
/// probabilities; gradients of this top are ignored. Labels and H get no gradient.
template <typename Dtype>
class InfogainLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "InfogainLoss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 3; }
  int ExactNumTopBlobs() const override { return -1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  const Blob<Dtype>& gains(const Blobs& bottom) const {
    return bottom.size() > 2 ? *bottom[2] : infogain_;
  }
  void read_gains(const std::string& file);

  std::shared_ptr<Layer<Dtype>> softmax_layer_;
  Blob<Dtype> prob_;
  Blobs softmax_bottom_, softmax_top_;
  Blob<Dtype> infogain_;   // H of the file
  Blob<Dtype> item_loss_;  // outer x inner
  LossParameter::NormalizationMode normalization_ = LossParameter::VALID;
  bool has_ignore_ = false;
  int ignore_ = 0;
  int axis_ = 0, outer_ = 0, inner_ = 0;
  Blob<int> label_counts_;  // the first: labels of the last forward pass that are not ignored
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_INFOGAIN_LOSS_LAYER_HPP_
