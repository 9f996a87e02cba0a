#ifndef CAFFE_LAYERS_MULTINOMIAL_LOGISTIC_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_MULTINOMIAL_LOGISTIC_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// loss = -1 / N * sum of log p_n(label_n). bottom[0] N x classes probabilities (for example of a
/// Softmax), bottom[1] N labels. A probability below kLOG_THRESHOLD counts as kLOG_THRESHOLD, also
/// in the gradient.
template <typename Dtype>
class MultinomialLogisticLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "MultinomialLogisticLoss"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  Blob<Dtype> item_loss_;  // N
  Blob<int> label_counts_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MULTINOMIAL_LOGISTIC_LOSS_LAYER_HPP_
