#ifndef CAFFE_LAYERS_DETECTION_ROI_POOLING_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_ROI_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/detection/region_bins.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The largest value of each bin of each region (Fast R-CNN). bottom[0] is N x C x H x W, bottom[1]
/// R x 5: index of the image in the batch, x1, y1, x2, y2 in pixels of the image; top[0] is
/// R x C x pooled_h x pooled_w.
///
/// A corner is at round(coordinate * spatial_scale), halves away from 0, and belongs to the region:
/// it is max(x2 - x1 + 1, 1) wide. Bin p of P covers the columns x1 + floor(p * width / P) to
/// x1 + ceil((p + 1) * width / P) - 1 that are inside the map; rows likewise. The first of equal
/// values counts; NaN only where no number is above -infinity. An empty bin yields 0. No gradient
/// flows to the regions: it is 0.
template <typename Dtype>
class ROIPoolingLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ROIPooling"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }
  size_t own_bytes() const override {
    return sizeof(int) * static_cast<size_t>(index_.count()) + bins_.bytes();
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int pooled_h_ = 0, pooled_w_ = 0;
  Dtype spatial_scale_ = 1;
  RegionBins bins_;
  Blob<int> index_;  // of the largest value in its plane; -1: the bin is empty
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_ROI_POOLING_LAYER_HPP_
