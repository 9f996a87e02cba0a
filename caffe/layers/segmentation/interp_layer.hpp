#ifndef CAFFE_LAYERS_SEGMENTATION_INTERP_LAYER_HPP_
#define CAFFE_LAYERS_SEGMENTATION_INTERP_LAYER_HPP_

#include <array>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Bilinear resizing with aligned corners, of the forks of DeepLab and PSPNet: the corners of the
/// top are the corners of the bottom.
///   bottom[0]  N x C x H x W
///   bottom[1]  optional: its height and width, instead of the parameters, are the top's
///   top[0]     N x C x height x width
/// pad_beg and pad_end, both at most 0, first cut that many rows and columns off the beginning and
/// the end of each plane. Of the length L that is left (H or W), the parameters that the prototxt
/// gives make:
///   shrink_factor s alone   (L - 1) / s + 1, rounded down
///   zoom_factor z alone     L + (L - 1) (z - 1)
///   height and width        these
///   both factors            shrunk, then zoomed
/// Value i of n lies at i (L - 1) / (n - 1) of the L values, or at 0 if n is 1: a division of
/// integers, so that no value is off its place, however long the axis. The gradient of bottom[1] is
/// 0.
template <typename Dtype>
class InterpLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Interp"; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// The length of an axis of the top; `inside` is what the pads leave, `given` the parameter.
  int resized(int inside, int given) const;
  /// Fills places_ and weights_ for the lengths of the last Reshape.
  void sample();

  std::array<int, 2> inside_ = {{0, 0}};         // height and width that the pads leave
  std::array<int, 2> out_ = {{0, 0}};            // height and width of the top
  std::array<int, 4> sampled_ = {{0, 0, 0, 0}};  // the inside_ and out_ that the next two are for
  // For the height, then for the width: `first` and `touching` of the .cu's Axis.
  Blob<int> places_;
  Blob<Dtype> weights_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEGMENTATION_INTERP_LAYER_HPP_
