#ifndef CAFFE_LAYERS_DETECTION_SOFTMAX_LOSS_OHEM_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_SOFTMAX_LOSS_OHEM_LAYER_HPP_

#include <vector>

#include "caffe/layers/softmax_loss_layer.hpp"

namespace caffe {

/// SoftmaxWithLoss (caffe/layers/softmax_loss_layer.hpp) with a third top, optional: -log p(label)
/// of each place, 0 where the label is ignored, in the labels' shape. BoxAnnotatorOHEM ranks
/// regions by it (R-FCN). Gradients of the second and third top are ignored; that of labels is 0.
template <typename Dtype>
class SoftmaxWithLossOHEMLayer : public SoftmaxWithLossLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using SoftmaxWithLossLayer<Dtype>::SoftmaxWithLossLayer;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SoftmaxWithLossOHEM"; }
  int MaxTopBlobs() const override { return 3; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_SOFTMAX_LOSS_OHEM_LAYER_HPP_
