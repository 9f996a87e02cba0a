#ifndef KERNELS_ATTENTION_HPP_
#define KERNELS_ATTENTION_HPP_

// Attention from activations, on raw pointers of either device (no Caffe needed).
//
// F is (n, channels, pixels) or, with channels_last, (n, pixels, channels); A is (n, pixels); both
// contiguous; pixels = h * w.
//   A  = sigmoid(mean over channels of F)
//   F' = (1 + A) * F
// Both directions are limited by memory bandwidth, so each reads its inputs from memory once and
// writes once: a tile of pixels is summed over all channels, and its planes are still in the cache
// when they are read again. Instantiated for float and double.

#include "kernels/device.hpp"

namespace maap {

struct FeatureShape {
  int n;
  int channels;
  int pixels;
  bool channels_last = false;  // the order of F, F' and their gradients
};

/// A from F (paper, eq. 1 and 2). A is NaN where the mean is NaN or infinite.
template <typename T>
void attention_map(Device device, const FeatureShape& shape, const T* f, T* a);

/// F' and A from F (paper, eq. 1 to 3). `enhanced` may be `f` itself.
template <typename T>
void enhance(Device device, const FeatureShape& shape, const T* f, T* enhanced, T* a);

/// dF from g = dL/dF':  dF_c = (1 + A) g_c + A (1 - A) / C * (sum_k g_k F_k + dL/dA).
///   f          F, or F' when `recover` is set: then F = F' / (1 + A) is recovered from it
///   a_gradient dL/dA (n, pixels) if other layers use A, or null
///   f_gradient may be `gradient` itself
template <typename T>
void enhance_backward(Device device, const FeatureShape& shape, const T* gradient,
                      const T* a_gradient, const T* f, bool recover, const T* a, T* f_gradient);

/// The same on a GPU with the channels last and F, F' and their gradients stored as Float16 or
/// Bfloat16 (kernels/half.hpp). A, its gradient and all sums are float.
template <typename T>
void enhance_halves(const FeatureShape& shape, const T* f, T* enhanced, float* a);
template <typename T>
void enhance_halves_backward(const FeatureShape& shape, const T* gradient, const float* a_gradient,
                             const T* f, bool recover, const float* a, T* f_gradient);

}  // namespace maap

#endif  // KERNELS_ATTENTION_HPP_
