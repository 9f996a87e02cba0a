#include "caffe/layers/onednn/conv_pointwise_gradients.hpp"

namespace caffe {
namespace onednn {

std::unique_ptr<ConvPointwiseGradients> ConvPointwiseGradients::make(
    const pointwise::Shape& shape) {
  const Isa isa = best_isa();
  if (isa == Isa::kPlain || !pointwise::Gradients::supports(shape, isa)) {
    return nullptr;
  }
  auto made = std::make_unique<ConvPointwiseGradients>(shape, isa);
  const bool some = made->suits(ConvPass::kBackwardData) || made->suits(ConvPass::kBackwardWeights);
  return some ? std::move(made) : nullptr;
}

ConvPointwiseGradients::ConvPointwiseGradients(const pointwise::Shape& shape, Isa isa)
    : gradients_(shape, isa) {}

// The others take oneDNN as long or less, as bench/conv1x1.cpp shows.
bool ConvPointwiseGradients::suits(ConvPass pass) const {
  const pointwise::Shape& s = gradients_.shape();
  const bool wide = block() == 16;  // AVX-512
  if (pass == ConvPass::kBackwardData) {
    return s.stride == 1 && s.channels >= s.outputs && (wide || s.outputs <= 256);
  }
  if (pass != ConvPass::kBackwardWeights || !wide) return false;
  const int pixels = s.top_height() * s.top_width();
  return s.images * pixels <= 1024 && (s.channels >= 1024 || (s.channels >= 512 && pixels <= 64));
}

void ConvPointwiseGradients::backward_data(const dnnl::memory& gradient, const float* weights,
                                           const dnnl::memory& bottom) const {
  const pointwise::Shape& s = gradients_.shape();
  gradients_.backward_data(values(gradient), weights, values(bottom),
                           scratch_floats(Slot::kWeights, size_t(s.channels) * s.outputs));
}

void ConvPointwiseGradients::backward_weights(const dnnl::memory& bottom,
                                              const dnnl::memory& gradient, float* weights,
                                              float* bias) const {
  gradients_.backward_weights(values(bottom), values(gradient), weights, bias,
                              scratch_floats(Slot::kPrimitive, gradients_.workspace()));
}

}  // namespace onednn
}  // namespace caffe
