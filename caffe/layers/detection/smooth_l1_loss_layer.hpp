#ifndef CAFFE_LAYERS_DETECTION_SMOOTH_L1_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_SMOOTH_L1_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Huber's loss of Fast R-CNN (R. Girshick, ICCV 2015, eq. 3):
///   d = inside (a - b), f(d) = sigma^2 d^2 / 2 if |d| < 1 / sigma^2, else |d| - 1 / (2 sigma^2)
///   loss = 1 / N * sum of outside f(d)
/// bottom[0] a and bottom[1] b have the same shape, N is the length of the first axis. bottom[2],
/// inside, and bottom[3], outside, are weights of that size, 1 where the bottom is missing: three
/// bottoms are Fast R-CNN's and SSD's form, four that of Faster R-CNN and R-FCN, whose sigma is
/// smooth_l1_loss_param's. Both a and b get gradients; that of weights is 0.
template <typename Dtype>
class SmoothL1LossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SmoothL1Loss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 4; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index < 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Blob<Dtype> terms_;  // data: outside f(d); diff: its derivative with respect to a
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_SMOOTH_L1_LOSS_LAYER_HPP_
