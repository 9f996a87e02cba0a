#ifndef CAFFE_LAYERS_ONEDNN_CONV_WINOGRAD_HPP_
#define CAFFE_LAYERS_ONEDNN_CONV_WINOGRAD_HPP_

// The engine's own Winograd convolution (caffe/util/winograd.hpp) on oneDNN's memory, and which
// passes of which shapes it is faster for than oneDNN's direct convolution.
//
// Measured with bench/winograd.cpp on 2 cores (Zen 5), 4 images: the time of oneDNN 2.6's direct
// convolution divided by this one's, forward, gradient of the bottom and of the weights,
//
//                                   AVX-512          AVX2
//   VGG19    64 channels of 224    2.3  2.4  1.9    2.8  2.9  3.9
//           128             112    2.8  3.3  2.5    3.1  3.2  3.5
//           256              56    2.8  2.9  3.1    3.0  3.4  4.0
//           512              28    2.6  2.7  3.2    3.2  3.1  4.0
//           512              14    1.6  1.6  2.3    2.0  1.8  2.9
//   AlexNet  conv2 (5x5)           1.7  1.7  1.6    1.7  1.8  1.5
//            conv3                 1.4  1.5  1.9    1.7  1.5  2.3
//   ResNet   64              56    2.4  2.4  2.1    2.7  2.4  2.6
//           256              14    1.6  1.7  2.0    1.8  1.7  2.6
//           512               7    0.9  0.8  1.4    1.2  1.1  2.2
//
// With few tiles the transformed weights, four times as large as the weights, cost more than is
// saved. oneDNN 2.6 also has a Winograd algorithm, for AVX-512 and one group; these passes took it
// 1.1 to 2.2 times as long. oneDNN 3 has none.

#include <memory>

#include "caffe/layers/onednn/own_forward.hpp"
#include "caffe/util/winograd.hpp"

namespace caffe {
namespace onednn {

/// kKeptForward: a forward pass with weights that are kept transformed.
enum class ConvPass { kForward, kKeptForward, kBackwardData, kBackwardWeights };

class ConvWinograd : public OwnForward {
 public:
  /// Null if no pass of this shape suits: the processor lacks AVX2, winograd.hpp does not support
  /// the shape, or direct convolution is faster.
  static std::unique_ptr<ConvWinograd> make(const winograd::Shape& shape);
  ConvWinograd(const winograd::Shape& shape, Isa isa);

  /// Whether it is faster than direct convolution of values that are stored in these numbers.
  bool suits(ConvPass pass, Numbers numbers = Numbers::f32) const;
  /// The layouts that all passes require: blocks of block() channels.
  int block() const { return forward_.block(); }

  size_t weights_bytes() const override { return forward_.weights_size() * sizeof(float); }
  void transform(const float* weights, float* to) const override;
  bool takes_slopes() const override { return false; }
  void forward(const dnnl::memory& bottom, const float* transformed, const float* bias, bool relu,
               float slope, const dnnl::memory& top) const override;
  void backward_data(const dnnl::memory& gradient, const float* weights,
                     const dnnl::memory& bottom) const;
  /// Adds to the gradients of weights and bias; either may be null.
  void backward_weights(const dnnl::memory& bottom, const dnnl::memory& gradient, float* weights,
                        float* bias) const;

 private:
  winograd::Convolution forward_, backward_;  // the second computes the gradient of the bottom
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_CONV_WINOGRAD_HPP_
