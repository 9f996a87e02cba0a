#ifndef CAFFE_LAYERS_METRIC_FOCAL_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_METRIC_FOCAL_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/softmax_loss_layer.hpp"

namespace caffe {

/// SoftmaxWithLoss that counts items less the better they are classified (after Lin et al., "Focal
/// Loss for Dense Object Detection", 2017): loss = -1 / Z * sum over items of
///   alpha (1 - p)^gamma log p             with alpha 0.25 by default,
/// where p is the softmax's probability of the label, or in the dialect happynear and with type
/// ONEADDP, which it alone has,
///   w^gamma log p, with w = alpha - p (ORIGIN, LINEAR) or alpha + p (ONEADDP), and alpha 1 by
///   default; a negative w counts as 0.
/// Gradients are the exact ones of these. Bottoms, tops, loss_param and Z as in SoftmaxWithLoss;
/// the axis of the classes is focal_loss_param's, if given, else softmax_param's. `beta` has no
/// effect.
template <typename Dtype>
class FocalLossLayer : public SoftmaxWithLossLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using SoftmaxWithLossLayer<Dtype>::SoftmaxWithLossLayer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "FocalLoss"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  // loss = -factor (base + sign p)^gamma log p
  Dtype factor_ = 0, base_ = 1, sign_ = -1, gamma_ = 2;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_METRIC_FOCAL_LOSS_LAYER_HPP_
