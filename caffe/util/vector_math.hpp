#ifndef CAFFE_UTIL_VECTOR_MATH_HPP_
#define CAFFE_UTIL_VECTOR_MATH_HPP_

// Functions that the compiler can vectorise, unlike libm's, and that give the same bits on CPU and
// GPU. They are built from the parts of kernels/sigmoid.hpp.

#include <cstring>

#include "caffe/util/parallel.hpp"
#include "kernels/sigmoid.hpp"

namespace caffe {

/// exp(-x) - 1 for x >= 0, accurate to the last bits also near 0; NaN for NaN.
template <typename T>
CAFFE_HD inline T expm1_negative(T x) {
  using B = maap::FloatBits<T>;
  using Bits = typename B::Bits;
  const T magic = B::kMagic, limit = B::kLimit;
  x = x > limit ? -limit : -x;
  const T shifted = x * T(1.44269504088896340736) + magic;  // its low bits hold n = round(x / ln 2)
  const T n = shifted - magic;
  const T r = (x - n * T(B::kLn2High)) - n * T(B::kLn2Low);
  Bits bits, zero;
  std::memcpy(&bits, &shifted, sizeof(T));
  std::memcpy(&zero, &magic, sizeof(T));
  bits = (bits - zero + B::kBias) * (Bits(1) << B::kMantissa);
  T two_to_n;
  std::memcpy(&two_to_n, &bits, sizeof(T));
  const T of_r = r * maap::Taylor<T, 2, B::kTerms>::at(r);  // exp(r) - 1
  return two_to_n * of_r + (two_to_n - T(1));
}

/// tanh(x)
template <typename T>
CAFFE_HD inline T vector_tanh(T x) {
  const T m = expm1_negative(T(2) * (x < T(0) ? -x : x));
  const T magnitude = -m / (T(2) + m);
  return x < T(0) ? -magnitude : magnitude;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_VECTOR_MATH_HPP_
