#ifndef CAFFE_LAYERS_GEOMETRY_CORRELATION_LAYER_HPP_
#define CAFFE_LAYERS_GEOMETRY_CORRELATION_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Compares windows of one map with displaced windows of another (FlowNet). Both bottoms are
/// N x C x H x W, padded with `pad` zeros on each side. With K = kernel_size (odd), m =
/// max_displacement, r = m / stride_2 rounded down and D = 2 r + 1, the top is N x D^2 x H' x W',
/// H' = (H + 2 pad - 2 m - K + 1) / stride_1 rounded up, W' likewise.
///
/// Channel q is for the displacement (q / D - r, q % D - r) * stride_2, row before column. The
/// first map's window at (h, w) begins at row h * stride_1 + m and column w * stride_1 + m of the
/// padded map, the second's is displaced from there. A value is the sum over the windows and
/// channels of a * b (MULTIPLY) or |a - b| (SUBTRACT), divided by K^2 C. do_abs changes nothing, as
/// in FlowNet.
template <typename Dtype>
class CorrelationLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Correlation"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_GEOMETRY_CORRELATION_LAYER_HPP_
