#ifndef MAAP_LAYERS_ONEDNN_BLOCKED_ATTENTION_HPP_
#define MAAP_LAYERS_ONEDNN_BLOCKED_ATTENTION_HPP_

// maap::enhance and its backward pass (kernels/attention.hpp) on oneDNN's blocked layouts, on
// the CPU: F is (n, channels / block, pixels, block), where block is 8 or 16 and divides channels.

#include "kernels/attention.hpp"

namespace maap {

/// F' and A from F. `enhanced` may be `f` itself; A is (n, pixels).
void enhance_blocked(const FeatureShape& shape, int block, const float* f, float* enhanced,
                     float* a);

/// dF from dL/dF'. The arguments are those of maap::enhance_backward.
void enhance_blocked_backward(const FeatureShape& shape, int block, const float* gradient,
                              const float* a_gradient, const float* f, bool recover, const float* a,
                              float* f_gradient);

}  // namespace maap

#endif  // MAAP_LAYERS_ONEDNN_BLOCKED_ATTENTION_HPP_
