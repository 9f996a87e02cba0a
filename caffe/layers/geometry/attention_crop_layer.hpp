#ifndef CAFFE_LAYERS_GEOMETRY_ATTENTION_CROP_LAYER_HPP_
#define CAFFE_LAYERS_GEOMETRY_ATTENTION_CROP_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Crops an image to the square that its attention names, and enlarges that (RA-CNN: Fu, Zheng and
/// Mei, "Look Closer to See Better", 2017). bottom[0] is N x C x H x W, bottom[1] N x 3: the
/// centre tx, ty and the half side tl of the square in pixels; top[0] N x C x n x n, n =
/// output_size.
///
/// A half side below least_half_side min(H, W) counts as that. The square is cut to the image: its
/// left edge is l = max(0, tx - tl), its right edge r = min(W, tx + tl), above and below likewise.
/// Column j of the top lies in the image at
///   x(j) = l + (j + 1/2) / n (r - l) - 1/2,
/// where pixel p is at p, row i likewise; a value is bilinear in the four pixels around its place.
/// Beyond the outermost pixels' centres their values hold. An attention that is not a finite number
/// gives a crop of NaN.
///
/// gradient: MASK, the rule of hybrid_attention's Caffe. l and r are rounded down to whole pixels,
/// with at least one pixel in between; pixels outside are not looked at. Values are rounded as
/// those of 8-bit images, with mean_value added for that (round_to_8_bit). The image's gradient is
/// 0. The attention's is not that of the crop but of the window that the paper cuts with, times how
/// strong gradients are:
///   M(x, y) = (h(x - tx + tl) - h(x - tx - tl)) (h(y - ty + tl) - h(y - ty - tl)),
///   h(x) = 1 / (1 + exp(-steepness x)),
///   dt = mask_scale * sum over the crop's values of |dy| / (largest |dy| of their channel) dM/dt
/// for t = tx, ty, tl, at the places x(j), y(i); half_side_slope is added to dtl. A mask_scale
/// below 0 moves and widens the window towards strong gradients, a positive one away from them.
///
/// gradient: EXACT. l and r are not rounded, nor are values, and both gradients are those of what
/// is computed. At whole pixels, where that has kinks, they are those of greater coordinates; an
/// edge that is cut, a half side that is too small and a place beyond the pixels' centres do not
/// move with the attention.
template <typename Dtype>
class AttentionCropLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "AttentionCrop"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  size_t own_bytes() const override {
    return sizeof(Dtype) *
           static_cast<size_t>(mean_.count() + largest_.count() + attention_diff_.count());
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  void attention_gradient(const Blobs& top, const Blobs& bottom);

  bool exact_ = false, rounds_ = false;
  Blob<Dtype> mean_;            // C, if values are rounded
  Blob<Dtype> largest_;         // N x C, MASK: the channels' largest |dy|
  Blob<Dtype> attention_diff_;  // N x 3 x n x n: what each place adds to the attention's gradient
  Blob<double> sums_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_GEOMETRY_ATTENTION_CROP_LAYER_HPP_
