#ifndef CAFFE_LAYERS_MOBILE_PIXEL_SHUFFLE_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_PIXEL_SHUFFLE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Channels to space with r = upscale_factor: N x C r^2 x H x W becomes N x C x H r x W r, and
/// value (c, h r + i, w r + j) of the top is value (c r^2 + i r + j, h, w) of the bottom. The field
/// is pixelshuffle_param, where upscale_factor must be given, or pixel_shuffle_param, where it is 2
/// if not given. Not in place.
template <typename Dtype>
class PixelShuffleLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "PixelShuffle"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int factor_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_PIXEL_SHUFFLE_LAYER_HPP_
