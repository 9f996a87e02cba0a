#ifndef CAFFE_LAYERS_DETECTION_SMOOTH_L1_LOSS_OHEM_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_SMOOTH_L1_LOSS_OHEM_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// SmoothL1Loss with a divisor of choice and the loss of each place (R-FCN):
///   d = w (a - b), f(d) = d^2 / 2 if |d| < 1, else |d| - 1 / 2, loss = 1 / Z * sum of f(d)
/// bottom[0] a and bottom[1] b are N x C x H x W, as is bottom[2] w, 1 if it is missing. Z is
/// loss_param's normalization: N H W for VALID and FULL, N for BATCH_SIZE, 1 for NONE. top[1],
/// optional, is N x 1 x H x W: the sum of f(d) over the channels; its gradient is ignored. Both a
/// and b get gradients, weights the gradient 0.
template <typename Dtype>
class SmoothL1LossOHEMLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SmoothL1LossOHEM"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 3; }
  int ExactNumTopBlobs() const override { return -1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index < 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Dtype divisor(const Blob<Dtype>& prediction) const;

  Blob<Dtype> slope_;       // of the sum of f(d), with respect to a
  Blob<Dtype> place_loss_;  // N x 1 x H x W
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_SMOOTH_L1_LOSS_OHEM_LAYER_HPP_
