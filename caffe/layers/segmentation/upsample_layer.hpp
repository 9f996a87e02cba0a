#ifndef CAFFE_LAYERS_SEGMENTATION_UPSAMPLE_LAYER_HPP_
#define CAFFE_LAYERS_SEGMENTATION_UPSAMPLE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/segmentation/put_back.hpp"

namespace caffe {

/// Larger planes, by one of two rules; the number of bottoms tells which.
///
/// Two bottoms, SegNet's: each value goes back to the place that a Pooling layer took it from.
///   bottom[0]  N x C x h x w
///   bottom[1]  the same shape: the second top of a Pooling MAX, the place y width + x in a plane
///   of
///              the top; -1 means none
///   top[0]     N x C x upsample_h x upsample_w, or h scale_h - pad_out_h x w scale_w - pad_out_w
///              (scale_h and scale_w are `scale` if not given, which is 2; pad_out 0 or 1)
/// All other places are 0. If several values go to one place, the last one counts, and it alone
/// gets the gradient. A place outside the plane is an error. The gradient of bottom[1] is 0.
///
/// One bottom, YOLO's: the value at (y, x) fills a square of `scale` (1 if not given) by `scale`
/// values, over the last two axes.
template <typename Dtype>
class UpsampleLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Upsample"; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }
  size_t own_bytes() const override { return places_.bytes(); }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// Height and width of the top with places.
  std::vector<int> size_of_places(int height, int width) const;

  int scale_ = 1;          // of the rule with one bottom
  PutBack<Dtype> places_;  // of the rule with two
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEGMENTATION_UPSAMPLE_LAYER_HPP_
