#ifndef CAFFE_LAYERS_ONEDNN_CONV_POINTWISE_HPP_
#define CAFFE_LAYERS_ONEDNN_CONV_POINTWISE_HPP_

// The engine's own convolution with windows of 1x1 (caffe/util/pointwise.hpp) on oneDNN's memory,
// for nets that test.

#include <memory>

#include "caffe/layers/onednn/own_forward.hpp"
#include "caffe/util/pointwise.hpp"

namespace caffe {
namespace onednn {

class ConvPointwise : public OwnForward {
 public:
  /// For weights of one group and stride 1 without padding. Null if the layouts are not blocked as
  /// the processor's code needs them, or if there is none.
  static std::unique_ptr<ConvPointwise> make(const Layout& bottom, const Layout& top);

  size_t weights_bytes() const override { return code_.weights_size() * sizeof(float); }
  void transform(const float* weights, float* to) const override;
  bool takes_slopes() const override { return true; }
  void forward(const dnnl::memory& bottom, const float* transformed, const float* bias, bool relu,
               float slope, const dnnl::memory& top) const override;

 private:
  explicit ConvPointwise(const PointwiseConvolution& code) : code_(code) {}

  PointwiseConvolution code_;
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_CONV_POINTWISE_HPP_
