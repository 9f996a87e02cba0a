#ifndef CAFFE_UTIL_POINTWISE_HPP_
#define CAFFE_UTIL_POINTWISE_HPP_

// Convolution with windows of 1x1 and stride 1 in the blocked layouts of winograd.hpp, with bias
// and ReLU: a product of matrices, by the kernel of Winograd's products. Float, on the CPU, forward
// only.
//
// Channels that do not fill a block are padded with zeros, and stay so. Not a number stays one, and
// -inf becomes one in the ReLU, as in Caffe's layers. All arrays but the bias begin at a multiple
// of 64 bytes. Results are the same bits for any number of threads.

#include <cstddef>

#include "caffe/util/winograd.hpp"

namespace caffe {

class PointwiseConvolution {
 public:
  struct Shape {
    int images, channels, pixels, outputs;  // pixels of one image
  };

  /// The code for these instructions must be available.
  PointwiseConvolution(const Shape& shape, Isa isa);

  /// Channels in a block.
  int block() const;
  /// Floats of the arranged weights.
  size_t weights_size() const;
  /// From rows, [outputs][channels].
  void arrange_weights(const float* weights, float* to) const;
  struct Relu {
    bool is_there;
    float slope;  // of negative values
  };
  /// `weights` are arranged. bias: one value for each output, or null.
  void forward(const float* bottom, const float* weights, const float* bias, const Relu& relu,
               float* top) const;

 private:
  struct Task;
  int rows() const;     // blocks of channels
  int columns() const;  // blocks of outputs
  void run(const Task& task, const float* bottom, const float* weights, const float* bias,
           const Relu& relu, float* top) const;

  Shape shape_;
  const winograd::Kernels* kernels_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_POINTWISE_HPP_
