#ifndef KERNELS_SIGMOID_HPP_
#define KERNELS_SIGMOID_HPP_

// The logistic function, written with additions and multiplications only. Two reasons: the compiler
// can vectorise it (it cannot vectorise libm's exp), and CPU and GPU give the same bits (their exp
// functions do not), so a threshold or a box never depends on the device.

#include <cstdint>
#include <cstring>

#include "kernels/parallel.hpp"

namespace maap {

template <typename T>
struct FloatBits;

template <>
struct FloatBits<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr int kTerms = 7;             // of the Taylor series, for |r| <= ln(2)/2
  static constexpr float kMagic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.42860682030941723e-6f;
  static constexpr float kLimit = 87.f;  // exp(-kLimit) is still a normal number
};

template <>
struct FloatBits<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr int kTerms = 13;
  static constexpr double kMagic = 6755399441055744.;  // 1.5 * 2^52
  static constexpr double kLn2High = 6.93147180369123816490e-1,
                          kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kLimit = 708.;
};

/// 1 + r/k * (1 + r/(k+1) * (1 + ...)), where the last factor is r/kLast.
template <typename T, int k, int kLast>
struct Taylor {
  static MAAP_HD T at(T r) { return r * T(1. / k) * Taylor<T, k + 1, kLast>::at(r) + T(1); }
};
template <typename T, int kLast>
struct Taylor<T, kLast, kLast> {
  static MAAP_HD T at(T r) { return r * T(1. / kLast) + T(1); }
};

/// exp(-x) for x >= 0, not below exp(-kLimit); NaN for NaN.
template <typename T>
MAAP_HD inline T exp_negative(T x) {
  using B = FloatBits<T>;
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
  return Taylor<T, 1, B::kTerms>::at(r) * two_to_n;
}

/// 1 / (1 + exp(-x)), without overflow or cancellation for either sign.
template <typename T>
MAAP_HD inline T sigmoid(T x) {
  const T e = exp_negative(x < T(0) ? -x : x);
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

}  // namespace maap

#endif  // KERNELS_SIGMOID_HPP_
