#ifndef CAFFE_LAYERS_SIGMOID_CROSS_ENTROPY_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_SIGMOID_CROSS_ENTROPY_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/sigmoid_layer.hpp"

namespace caffe {

/// loss = -1 / Z * sum of t log p + (1 - t) log(1 - p), p = 1 / (1 + exp(-x)): bottom[0] has the
/// scores x, bottom[1] the same number of targets t in [0, 1]. Z is loss_param's normalization,
/// here with BATCH_SIZE as the default. Targets whose integer part is ignore_label are ignored.
template <typename Dtype>
class SigmoidCrossEntropyLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SigmoidCrossEntropyLoss"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  /// The divisor Z for valid_count targets that are not ignored.
  virtual Dtype get_normalizer(LossParameter::NormalizationMode normalization_mode,
                               int valid_count) {
    return normalizer_of<Dtype>(normalization_mode, outer_num_, inner_num_, valid_count,
                                this->layer_param_.loss_param().pre_fixed_normalizer());
  }

  bool has_ignore_label_ = false;
  int ignore_label_ = 0;
  LossParameter::NormalizationMode normalization_ = LossParameter::BATCH_SIZE;
  Dtype normalizer_ = 1;
  int outer_num_ = 0, inner_num_ = 0;
  Blob<Dtype> item_;  // data: losses; diff: 1 where the target counts, else 0

 private:
  /// A derived class may have its own divisor, which the host computes.
  bool all_on_gpu() const;
  Blob<int> valid_;  // the number of targets that count, on either device
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SIGMOID_CROSS_ENTROPY_LOSS_LAYER_HPP_
