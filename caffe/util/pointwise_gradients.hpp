#ifndef CAFFE_UTIL_POINTWISE_GRADIENTS_HPP_
#define CAFFE_UTIL_POINTWISE_GRADIENTS_HPP_

// The gradients of convolutions with a 1x1 window, without padding and groups: products of
// matrices, by the kernels of winograd_kernels.hpp, which reach the processor's rate. Float, on the
// CPU.
//
// Images are in the blocked layout [images][channels / block][height][width][block]; these arrays
// and the workspaces begin at a multiple of 64 bytes. Weights are row by row:
// [outputs][channels]. Results are the same bits for any number of threads.

#include <cstddef>

#include "caffe/util/winograd.hpp"

namespace caffe {
namespace pointwise {

struct Shape {
  int images, channels, height, width;  // of the bottom
  int outputs;
  int stride;  // in both directions
  int top_height() const { return (height - 1) / stride + 1; }
  int top_width() const { return (width - 1) / stride + 1; }
};

class Gradients {
 public:
  /// Whether such a convolution can be computed: channels and outputs fill blocks.
  static bool supports(const Shape& shape, Isa isa);
  /// supports() must hold.
  Gradients(const Shape& shape, Isa isa);

  const Shape& shape() const { return shape_; }
  /// Channels in a block.
  int block() const;

  /// Writes the gradient of the bottom; the stride must be 1. `packed` has room for the weights.
  void backward_data(const float* top_gradient, const float* weights, float* bottom_gradient,
                     float* packed) const;
  /// Floats of backward_weights()'s workspace: the pixels that a stride of more than 1 takes.
  size_t workspace() const;
  /// Adds the gradients of the weights and of the bias. Either may be null.
  void backward_weights(const float* bottom, const float* top_gradient, float* weights, float* bias,
                        float* workspace) const;

 private:
  int pixels() const { return shape_.top_height() * shape_.top_width(); }
  void pack(const float* weights, float* to) const;
  const float* taken_pixels(const float* bottom, float* workspace) const;
  void add_weights(const float* bottom, const float* top_gradient, float* weights) const;
  void add_bias(const float* top_gradient, float* bias) const;

  Shape shape_;
  const winograd::Kernels* kernels_;
};

}  // namespace pointwise
}  // namespace caffe

#endif  // CAFFE_UTIL_POINTWISE_GRADIENTS_HPP_
