#ifndef CAFFE_LAYERS_EUCLIDEAN_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_EUCLIDEAN_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// loss = sum of (a - b)^2 / (2 N), where N is the length of the first axis. Both bottoms get
/// gradients.
template <typename Dtype>
class EuclideanLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "EuclideanLoss"; }
  bool AllowForceBackward(int) const override { return true; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  Blob<Dtype> diff_;  // a - b
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_EUCLIDEAN_LOSS_LAYER_HPP_
