#ifndef CAFFE_LAYERS_DETECTION_NORMALIZE_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_NORMALIZE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/channel_shape.hpp"

namespace caffe {

/// Divides vectors by their length. x is (N, C, ...), all axes behind the second being pixels.
///
/// SSD's (norm_param): y = s x / n with n = sqrt(sum of x^2 + eps), summed over an item with
/// across_spatial, else over the channels of a pixel. s is learnt, one for all with channel_shared,
/// else one a channel; blob 0, without axes or [C].
///
/// happynear's (normalize_param, or dialect "happynear"): y = x / n over the channels of a pixel,
/// nothing learnt. normalize_type "L2": n = sqrt(sum of x^2 + 1e-12), "L1": n = sum of |x| + 1e-6.
/// top[1], if there is one, is n, (N, 1, ...); with bp_norm its gradient is passed on.
/// fix_gradient: the gradient of y is not divided by n.
///
/// May work in place where no gradient is needed.
template <typename Dtype>
class NormalizeLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Normalize"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  const Dtype* scales() const;
  void backward_to_scales(const Blobs& top, const Blobs& bottom);

  bool scaled_ = false;          // SSD's
  bool across_spatial_ = false;  // a vector is an item, else a pixel
  bool absolute_ = false;        // L1
  Dtype eps_ = 0;
  ChannelShape shape_ = {0, 0, 0};  // N, C, pixels
  Blob<Dtype> norm_;                // n: [N] or [N, pixels]
  Blob<Dtype> dot_;                 // as norm_: sum of s dy x
  Blob<double> sums_;               // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_NORMALIZE_LAYER_HPP_
