#include "caffe/layers/onednn/conv_winograd.hpp"

namespace caffe {
namespace onednn {

namespace {

// What else takes time, as a number of multiplications of the same time: to transform a tile of a
// channel of bottom or top; to transform the weights of a channel and an output and read the
// result, for each value in a vector, since this depends on the memory's speed. Fitted to the times
// that bench/winograd.cpp prints; for weights that are kept and only read, bench/kept_conv.cpp.
constexpr double kTransform = 220;
constexpr double kWeights = 94, kKeptWeights = 38;

// Where values are stored in bfloat16, they are converted for the transforms, and oneDNN's direct
// convolution takes half the time, that of the weights' gradient two thirds: so many times fewer
// multiplications it must be, with what the model above leaves out.
constexpr double kConvertedTransform = 330, kLeastForBf16 = 3.15, kLeastOfWeightsForBf16 = 2;

/// `weights` are transformed.
void run(const winograd::Convolution& convolution, const dnnl::memory& from, const float* weights,
         const float* bias, bool relu, const dnnl::memory& to) {
  convolution.forward(values(from), weights, bias, relu, values(to),
                      scratch_floats(Slot::kPrimitive, convolution.forward_workspace()));
}

}  // namespace

std::unique_ptr<ConvWinograd> ConvWinograd::make(const winograd::Shape& shape) {
  const Isa isa = best_isa();
  if (isa == Isa::kPlain || !winograd::Convolution::supports(shape, isa)) return nullptr;
  std::unique_ptr<ConvWinograd> made(new ConvWinograd(shape, isa));
  const bool some = made->suits(ConvPass::kKeptForward) || made->suits(ConvPass::kBackwardData) ||
                    made->suits(ConvPass::kBackwardWeights);
  return some ? std::move(made) : nullptr;
}

ConvWinograd::ConvWinograd(const winograd::Shape& shape, Isa isa)
    : forward_(shape, isa), backward_(shape.transposed(), isa) {}

bool ConvWinograd::suits(ConvPass pass, Numbers numbers) const {
  const winograd::Convolution& own = pass == ConvPass::kBackwardData ? backward_ : forward_;
  const winograd::Shape& shape = forward_.shape();
  const double channels = double(shape.channels) / shape.groups;
  const double outputs = double(shape.outputs) / shape.groups;
  // For each pair of a channel and an output of its group.
  const double direct =
      double(shape.images) * shape.top_height() * shape.top_width() * shape.kernel * shape.kernel;
  const double transform = numbers == Numbers::f32 ? kTransform : kConvertedTransform;
  const double tile = 36 + transform / channels + transform / outputs;
  const double per_value = pass == ConvPass::kKeptForward       ? kKeptWeights
                           : pass == ConvPass::kBackwardWeights ? .6 * kWeights
                                                                : kWeights;
  const double weights = per_value * block();
  const double least = numbers == Numbers::f32              ? 1
                       : pass == ConvPass::kBackwardWeights ? kLeastOfWeightsForBf16
                                                            : kLeastForBf16;
  return (own.tiles() * tile + weights) * least < direct;
}

void ConvWinograd::transform(const float* weights, float* to) const {
  forward_.transform_weights(weights, false, to);
}

void ConvWinograd::forward(const dnnl::memory& bottom, const float* transformed, const float* bias,
                           bool relu, float, const dnnl::memory& top) const {
  run(forward_, bottom, transformed, bias, relu, top);
}

void ConvWinograd::backward_data(const dnnl::memory& gradient, const float* weights,
                                 const dnnl::memory& bottom) const {
  float* const transformed = scratch_floats(Slot::kWeights, backward_.weights_size());
  backward_.transform_weights(weights, true, transformed);
  run(backward_, gradient, transformed, nullptr, false, bottom);
}

void ConvWinograd::backward_weights(const dnnl::memory& bottom, const dnnl::memory& gradient,
                                    float* weights, float* bias) const {
  forward_.backward_weights(values(bottom), values(gradient), weights, bias,
                            scratch_floats(Slot::kPrimitive, forward_.backward_workspace()));
}

}  // namespace onednn
}  // namespace caffe
