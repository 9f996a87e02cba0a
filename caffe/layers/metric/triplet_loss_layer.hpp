#ifndef CAFFE_LAYERS_METRIC_TRIPLET_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_METRIC_TRIPLET_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Draws an anchor a to a positive p and away from a negative n, bottoms 0 to 2, N items of equal
/// size each (Schroff et al., "FaceNet", 2015): loss = 1 / (2 N) * sum over items of
/// max(margin + |a - p|^2 - |a - n|^2, 0), with squared distances. All three get gradients; an
/// item whose term is below 1e-9 gives none. As in happynear's Caffe; other forks mean other
/// things by this type.
template <typename Dtype>
class TripletLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "TripletLoss"; }
  int ExactNumBottomBlobs() const override { return 3; }
  bool AllowForceBackward(int) const override { return true; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Blob<Dtype> terms_;  // N
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_METRIC_TRIPLET_LOSS_LAYER_HPP_
