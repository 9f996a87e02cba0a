#ifndef CAFFE_LAYERS_ONEDNN_CONV_POINTWISE_GRADIENTS_HPP_
#define CAFFE_LAYERS_ONEDNN_CONV_POINTWISE_GRADIENTS_HPP_

// The engine's own gradients of a convolution with a 1x1 window
// (caffe/util/pointwise_gradients.hpp) on oneDNN's memory, and which of them it is faster for than
// oneDNN. bench/conv1x1.cpp compares both.

#include <memory>

#include "caffe/layers/onednn/conv_winograd.hpp"
#include "caffe/util/pointwise_gradients.hpp"

namespace caffe {
namespace onednn {

class ConvPointwiseGradients {
 public:
  /// Null if the processor lacks AVX2, that file does not support the shape, or oneDNN is
  /// faster.
  static std::unique_ptr<ConvPointwiseGradients> make(const pointwise::Shape& shape);
  ConvPointwiseGradients(const pointwise::Shape& shape, Isa isa);

  /// Whether it is faster than oneDNN: never forward.
  bool suits(ConvPass pass) const;
  /// The layouts that all passes require: blocks of block() channels.
  int block() const { return gradients_.block(); }

  void backward_data(const dnnl::memory& gradient, const float* weights,
                     const dnnl::memory& bottom) const;
  /// Adds to the gradients of weights and bias; either may be null.
  void backward_weights(const dnnl::memory& bottom, const dnnl::memory& gradient, float* weights,
                        float* bias) const;

 private:
  pointwise::Gradients gradients_;
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_CONV_POINTWISE_GRADIENTS_HPP_
