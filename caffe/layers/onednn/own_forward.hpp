#ifndef CAFFE_LAYERS_ONEDNN_OWN_FORWARD_HPP_
#define CAFFE_LAYERS_ONEDNN_OWN_FORWARD_HPP_

#include <cstddef>

#include "caffe/layers/onednn/memory.hpp"

namespace caffe {
namespace onednn {

/// The forward pass of a convolution by the engine's own code, on oneDNN's blocked layouts. Its
/// ReLU, unlike oneDNN's, leaves NaN.
class OwnForward {
 public:
  virtual ~OwnForward() = default;
  /// Of the weights that forward() takes.
  virtual size_t weights_bytes() const = 0;
  /// Makes them from the layer's weights.
  virtual void transform(const float* weights, float* to) const = 0;
  /// Whether its ReLU may have a negative slope.
  virtual bool takes_slopes() const = 0;
  /// `bias` may be null. If `relu`, a ReLU follows.
  virtual void forward(const dnnl::memory& bottom, const float* transformed, const float* bias,
                       bool relu, float slope, const dnnl::memory& top) const = 0;
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_OWN_FORWARD_HPP_
