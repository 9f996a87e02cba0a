#ifndef CAFFE_LAYERS_CONTRASTIVE_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_CONTRASTIVE_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// For siamese networks (Hadsell et al., 2006): with the distances d_n = |a_n - b_n|,
///   loss = 1 / (2 N) * sum of y d^2 + (1 - y) max(margin - d, 0)^2
/// or, with legacy_version, max(margin - d^2, 0) in place of the last square. bottom[0] and
/// bottom[1], a and b, are N x channels; bottom[2] has N values y: a pair counts as similar unless
/// its integer part is 0. The gradient of a dissimilar pair divides by d + 1e-4 (not legacy), as
/// BVLC Caffe's does.
template <typename Dtype>
class ContrastiveLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ContrastiveLoss"; }
  int ExactNumBottomBlobs() const override { return 3; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index != 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  Blob<Dtype> squared_;  // N: d^2
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CONTRASTIVE_LOSS_LAYER_HPP_
