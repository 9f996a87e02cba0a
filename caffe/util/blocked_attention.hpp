#ifndef CAFFE_UTIL_BLOCKED_ATTENTION_HPP_
#define CAFFE_UTIL_BLOCKED_ATTENTION_HPP_

// maap::enhance and its backward pass (caffe_layers/attention.hpp) on oneDNN's blocked layouts, on
// the CPU: F is (n, channels / block, pixels, block), where block is 8 or 16 and divides channels.

#include "caffe_layers/attention.hpp"

namespace caffe {

/// F' and A from F. `enhanced` may be `f` itself; A is (n, pixels).
void enhance_blocked(const maap::FeatureShape& shape, int block, const float* f, float* enhanced,
                     float* a);

/// dF from dL/dF'. The arguments are those of maap::enhance_backward.
void enhance_blocked_backward(const maap::FeatureShape& shape, int block, const float* gradient,
                              const float* a_gradient, const float* f, bool recover, const float* a,
                              float* f_gradient);

}  // namespace caffe

#endif  // CAFFE_UTIL_BLOCKED_ATTENTION_HPP_
