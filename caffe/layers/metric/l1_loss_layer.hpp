#ifndef CAFFE_LAYERS_METRIC_L1_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_METRIC_L1_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The sum of absolute differences d = a - b, of bottom[0] and bottom[1] with N items of equal
/// size; both get gradients, and the slope at d = 0 is 0.
///
/// NVCaffe's (DetectNet): loss = sum |d| / N.
///
/// FlowNet 2's, if there is l1_loss_param, one bottom alone (d = a), or the dialect flownet2 or
/// synopsys; bottoms are (N, C, ..) of equal shape, and a NaN counts as 0:
///   loss = sum of |d| over |d| >= plateau / Z, or with l2_per_location
///   loss = sum over items and places of sqrt(s + epsilon) / Z, where s is the sum of d^2 over the
///   channels, by C with l2_prescale_by_channels; an s below plateau^2 counts as 0, without slope.
/// Z = N or, with normalize_by_num_entries, the number of d that are not NaN, by C; the loss is 0
/// if there are none.
template <typename Dtype>
class L1LossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "L1Loss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  bool AllowForceBackward(int) const override { return true; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  template <typename Terms>
  void add_up(const Terms& terms, int work, const Blob<Dtype>& like, const Blobs& top);

  bool flownet_ = false, by_place_ = false;
  int channels_ = 1, inner_ = 1;
  Blob<Dtype> terms_;    // of the sum: as bottom[0], or one for each place
  Blob<Dtype> entries_;  // for each term, the number of d that are not NaN
  Blob<Dtype> slopes_;   // the slope of |d|, or of the root divided by d
  Blob<Dtype> divisor_;  // Z
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_METRIC_L1_LOSS_LAYER_HPP_
