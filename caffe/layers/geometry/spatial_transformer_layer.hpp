#ifndef CAFFE_LAYERS_GEOMETRY_SPATIAL_TRANSFORMER_LAYER_HPP_
#define CAFFE_LAYERS_GEOMETRY_SPATIAL_TRANSFORMER_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Samples maps at the places of an affine grid (Jaderberg et al., "Spatial Transformer Networks",
/// as in daerduoCarey's Caffe). bottom[0] is N x C x H x W, bottom[1] N x (6 less the number of
/// fixed theta_i_j): theta row by row, without the fixed ones; top[0] N x C x output_H x output_W,
/// by default H x W.
///
/// Output (s, t) has the coordinates g = (2 s / output_H - 1, 2 t / output_W - 1, 1) and lies at
/// theta g = (p, q), row before column, on the map at row (p + 1) / 2 * H, column (q + 1) / 2 * W.
/// Its value is bilinear in the four neighbours; those off the map count as 0. The identity copies
/// a map to a top of its size. Where a place lies on a row or column of the map, the gradient is
/// that of greater coordinates. Without to_compute_dU the map's gradient is 0.
template <typename Dtype>
class SpatialTransformerLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SpatialTransformer"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  size_t own_bytes() const override {
    return sizeof(Dtype) * static_cast<size_t>(place_diff_.count());
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  void theta_gradient(const Blobs& top, const Blobs& bottom);

  std::vector<int> learnt_;   // the numbers, 0 to 5, of theta's elements that bottom[1] holds
  std::vector<Dtype> theta_;  // the fixed ones, of 6
  Blob<Dtype> place_diff_;    // N x 2 x output_H x output_W: gradients of (p, q)
  Blob<double> sums_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_GEOMETRY_SPATIAL_TRANSFORMER_LAYER_HPP_
