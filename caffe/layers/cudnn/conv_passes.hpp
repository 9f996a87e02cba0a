#ifndef CAFFE_LAYERS_CUDNN_CONV_PASSES_HPP_
#define CAFFE_LAYERS_CUDNN_CONV_PASSES_HPP_

// The passes of one convolution on plain blobs, which the Convolution and the Deconvolution layer
// share: a Deconvolution's forward pass is the data gradient, and the reverse.
//
// Each method returns false, having done nothing, where cuDNN has no plan; the caller then uses
// Caffe's own kernels. All pointers are the GPU's. All operands have one order of values and one
// type, the weights too; the bias and the weights' gradient are Dtype, and the latter is row by row
// in either order. cuDNN 9 has no weight gradient of 16 bits whose result is float: it is rounded
// to 16 bits once, and added to Dtype's.

#include <vector>

#include "caffe/layers/cudnn/plan.hpp"
#include "caffe/util/im2col.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {
namespace cudnn {

template <typename Dtype>
class ConvPasses {
 public:
  /// The convolution of `images` images with `geometry.channels` channels each. Fewer than two
  /// spatial axes become two, with axes of length 1; cuDNN takes no more than three.
  void reshape(int images, int out_channels, int groups, const ConvGeometry& geometry);

  /// Whether there is a plan for the forward pass in this order and type.
  bool takes(Format format) const;
  /// y = x (*) w
  bool forward(Format format, const void* x, const void* w, void* y) const;
  /// y = x (*) w + bias, in one kernel; with `relu`, negative values become 0.
  bool forward_fused(Format format, const void* x, const void* w, const void* bias, bool relu,
                     void* y) const;
  /// dx from dy and w
  bool data_gradient(Format format, const void* dy, const void* w, void* dx) const;
  /// dw += the gradient from x and dy
  bool add_weight_gradient(Format format, const void* x, const void* dy, Dtype* dw) const;

 private:
  Convolution described(Format format, Pass pass) const;
  /// Runs the plan of a pass, with the bias if the operands have one; false if there is none.
  bool run(Format format, Pass pass, const Operands& operands, bool relu = false) const;
  bool skips_positions() const;
  bool spread_data_gradient(const Dtype* dy, const Dtype* w, Dtype* dx) const;

  bool is_supported_ = false;
  Convolution plain_, channels_last_;  // without a pass
  std::vector<int> weight_shape_;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_CONV_PASSES_HPP_
