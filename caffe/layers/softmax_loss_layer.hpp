#ifndef CAFFE_LAYERS_SOFTMAX_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_SOFTMAX_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/softmax_layer.hpp"

namespace caffe {

/// loss = -1 / Z * sum over items of log p(label), where p is the softmax of the scores along
/// softmax_param's axis: bottom[0] outer x classes x inner, bottom[1] outer x inner labels. Z is
/// loss_param's normalization. Items of label ignore_label are ignored. A probability below FLT_MIN
/// counts as FLT_MIN. top[1], optional: the probabilities; gradients of this top are ignored.
template <typename Dtype>
class SoftmaxWithLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SoftmaxWithLoss"; }
  int ExactNumTopBlobs() const override { return -1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  /// The divisor Z for valid_count labels that are not ignored.
  virtual Dtype get_normalizer(LossParameter::NormalizationMode normalization_mode,
                               int valid_count) {
    return normalizer_of<Dtype>(normalization_mode, outer_num_, inner_num_, valid_count,
                                this->layer_param_.loss_param().pre_fixed_normalizer());
  }

  shared_ptr<Layer<Dtype>> softmax_layer_;
  Blob<Dtype> prob_;
  Blobs softmax_bottom_vec_, softmax_top_vec_;
  bool has_ignore_label_ = false;
  int ignore_label_ = 0;
  LossParameter::NormalizationMode normalization_ = LossParameter::VALID;
  int softmax_axis_ = 0, outer_num_ = 0, inner_num_ = 0;
  int valid_count_ = 0;     // labels of the last forward pass that are not ignored
  Blob<int> label_counts_;  // the first is valid_count_, on either device
  Blob<Dtype> item_loss_;   // outer x inner

 private:
  /// A derived class may have its own divisor, which the host computes.
  bool all_on_gpu() const;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SOFTMAX_LOSS_LAYER_HPP_
