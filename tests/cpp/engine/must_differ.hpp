#ifndef TESTS_CPP_ENGINE_MUST_DIFFER_HPP_
#define TESTS_CPP_ENGINE_MUST_DIFFER_HPP_

#include "caffe/util/math_mode.hpp"
#include "test_paths.hpp"

namespace caffe {

/// Whether the tests run on the shadow device, not on a GPU.
constexpr bool kIsShadow = SHADOW_DEVICE;

/// Whether results in a mode that the GPU has must differ from those in float. cuBLAS and cuDNN may
/// compute in float what TF32 allows them to round.
inline bool must_differ(MathMode mode) {
  return mode != MathMode::kFloat && (mode != MathMode::kTf32 || kIsShadow);
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_MUST_DIFFER_HPP_
