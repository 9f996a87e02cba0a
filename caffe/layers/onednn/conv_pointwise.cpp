#include "caffe/layers/onednn/conv_pointwise.hpp"

namespace caffe {
namespace onednn {

std::unique_ptr<ConvPointwise> ConvPointwise::make(const Layout& bottom, const Layout& top) {
  const Isa isa = best_isa();
  const Dims from = dims_of(bottom), to = dims_of(top);
  if (isa == Isa::kPlain || from.size() != 4 || to.size() != 4) return nullptr;
  const auto at = [](const Dims& dims, int axis) { return static_cast<int>(dims[axis]); };
  const PointwiseConvolution code({at(from, 0), at(from, 1), at(from, 2) * at(from, 3), at(to, 1)},
                                  isa);
  if (channel_block(bottom) != code.block() || channel_block(top) != code.block()) return nullptr;
  return std::unique_ptr<ConvPointwise>(new ConvPointwise(code));
}

void ConvPointwise::transform(const float* weights, float* to) const {
  code_.arrange_weights(weights, to);
}

void ConvPointwise::forward(const dnnl::memory& bottom, const float* transformed, const float* bias,
                            bool relu, float slope, const dnnl::memory& top) const {
  code_.forward(values(bottom), transformed, bias, {relu, slope}, values(top));
}

}  // namespace onednn
}  // namespace caffe
