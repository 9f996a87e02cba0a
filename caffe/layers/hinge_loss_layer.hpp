#ifndef CAFFE_LAYERS_HINGE_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_HINGE_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// One-against-all hinge loss: m_nc = max(0, 1 - x_nc) for the label's class c, max(0, 1 + x_nc)
/// for the others; loss = 1 / N * sum of m (norm L1) or of m^2 (L2). bottom[0] N x classes,
/// bottom[1] N labels.
template <typename Dtype>
class HingeLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "HingeLoss"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  Blob<Dtype> margin_;  // m
  Blob<int> label_counts_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_HINGE_LOSS_LAYER_HPP_
