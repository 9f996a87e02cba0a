#ifndef CAFFE_LAYERS_DETECTION_PSROI_POOLING_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_PSROI_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/detection/region_bins.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The mean of each bin of each region, where each bin reads channels of its own (R-FCN). With
/// G = group_size: bottom[0] is N x output_dim G^2 x H x W, bottom[1] R x 5: index of the image in
/// the batch, x1, y1, x2, y2 in pixels of the image; top[0] is R x output_dim x G x G.
///
/// Output channel c of bin (i, j) reads channel (c G + i) G + j. A region begins at
/// round(x1) * spatial_scale and ends at (round(x2) + 1) * spatial_scale, halves away from 0; these
/// places stay fractions, and it is at least 0.1 wide. Bin p covers the columns floor(p * width / G
/// + start) to ceil((p + 1) * width / G + start) - 1 that are inside the map; rows likewise. An
/// empty bin yields 0. No gradient flows to the regions: it is 0.
template <typename Dtype>
class PSROIPoolingLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "PSROIPooling"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }
  size_t own_bytes() const override { return bins_.bytes(); }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int output_dim_ = 0, group_size_ = 0;
  Dtype spatial_scale_ = 0;
  RegionBins bins_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_PSROI_POOLING_LAYER_HPP_
