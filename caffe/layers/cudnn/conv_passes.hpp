#ifndef CAFFE_LAYERS_CUDNN_CONV_PASSES_HPP_
#define CAFFE_LAYERS_CUDNN_CONV_PASSES_HPP_

// The passes of one convolution on plain blobs, which the Convolution and the Deconvolution layer
// share: a Deconvolution's forward pass is the data gradient, and the reverse.
//
// Each method returns false, having done nothing, where cuDNN has no plan; the caller then uses
// Caffe's own kernels. All pointers are the GPU's. All operands have one order of values, the
// weights too; their gradient is row by row in either.

#include <vector>

#include "caffe/layers/cudnn/plan.hpp"
#include "caffe/util/im2col.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {
namespace cudnn {

template <typename Dtype>
class ConvPasses {
 public:
  /// The convolution of `images` images with `geometry.channels` channels each. Fewer than two
  /// spatial axes become two, with axes of length 1; cuDNN takes no more than three.
  void reshape(int images, int out_channels, int groups, const ConvGeometry& geometry);

  /// Whether there is a plan for the forward pass in this order.
  bool takes(Order order) const { return find(order, Pass::kForward) != nullptr; }
  /// y = x (*) w
  bool forward(Order order, const Dtype* x, const Dtype* w, Dtype* y) const;
  /// y = x (*) w + bias, in one kernel; with `relu`, negative values become 0.
  bool forward_fused(Order order, const Dtype* x, const Dtype* w, const Dtype* bias, bool relu,
                     Dtype* y) const;
  /// dx from dy and w
  bool data_gradient(Order order, const Dtype* dy, const Dtype* w, Dtype* dx) const;
  /// dw += the gradient from x and dy
  bool add_weight_gradient(Order order, const Dtype* x, const Dtype* dy, Dtype* dw) const;

 private:
  const Plan* find(Order order, Pass pass, bool bias = false, bool relu = false) const;
  /// Runs the plan of a pass, with the bias if the operands have one; false if there is none.
  bool run(Order order, Pass pass, const Operands& operands, bool relu = false) const;
  bool skips_positions() const;
  bool spread_data_gradient(const Dtype* dy, const Dtype* w, Dtype* dx) const;

  bool is_supported_ = false;
  Convolution plain_, channels_last_;  // without a pass
  std::vector<int> weight_shape_;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_CONV_PASSES_HPP_
