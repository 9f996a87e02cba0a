#ifndef KERNELS_HALF_HPP_
#define KERNELS_HALF_HPP_

// Numbers of 16 bits, to store values in. Arithmetic on them is float's: each converts to float and
// is made from one, rounded to the nearest, ties to even.
//
//   Float16   5 bits of exponent, 10 behind the point: 2^-24 to 65504; more becomes infinity
//   Bfloat16  8 bits of exponent, as a float has, 7 behind the point
//
// A functor that computes in Computed<T> serves them as well as float and double.

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define MAAP_HALF_HD __host__ __device__
#else
#define MAAP_HALF_HD
#endif

namespace maap {

namespace internal {

MAAP_HALF_HD inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

MAAP_HALF_HD inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

MAAP_HALF_HD inline uint16_t to_float16(float value) {
#ifdef __CUDA_ARCH__
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
#else
  const uint32_t all = bits_of(value), sign = all >> 16 & 0x8000u;
  uint32_t f = all & 0x7fffffffu;
  if (f > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);   // NaN
  if (f >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 or more
  if (f < 0x38800000u) {  // a multiple of 2^-24, which is the last bit of numbers from 0.5 to 1
    return static_cast<uint16_t>(sign | (bits_of(float_of(f) + 0.5f) - 0x3f000000u));
  }
  f += 0xfffu + (f >> 13 & 1u);
  return static_cast<uint16_t>(sign | (f - 0x38000000u) >> 13);
#endif
}

MAAP_HALF_HD inline float from_float16(uint16_t bits) {
#ifdef __CUDA_ARCH__
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
#else
  const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u;
  const uint32_t fraction = bits & 0x3ffu;
  if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  const float size = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // 2^-24
  return sign != 0 ? -size : size;
#endif
}

MAAP_HALF_HD inline uint16_t to_bfloat16(float value) {
  const uint32_t f = bits_of(value);
  if ((f & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(f >> 16 | 0x40u);  // NaN
  return static_cast<uint16_t>((f + 0x7fffu + (f >> 16 & 1u)) >> 16);
}

MAAP_HALF_HD inline float from_bfloat16(uint16_t bits) {
  return float_of(static_cast<uint32_t>(bits) << 16);
}

}  // namespace internal

struct Float16 {
  uint16_t bits;
  Float16() = default;
  MAAP_HALF_HD Float16(float value) : bits(internal::to_float16(value)) {}
  MAAP_HALF_HD operator float() const { return internal::from_float16(bits); }
};

struct Bfloat16 {
  uint16_t bits;
  Bfloat16() = default;
  MAAP_HALF_HD Bfloat16(float value) : bits(internal::to_bfloat16(value)) {}
  MAAP_HALF_HD operator float() const { return internal::from_bfloat16(bits); }
};

namespace internal {
template <typename T>
struct ComputedIn {
  using Type = T;
};
template <>
struct ComputedIn<Float16> {
  using Type = float;
};
template <>
struct ComputedIn<Bfloat16> {
  using Type = float;
};
}  // namespace internal

/// The type to compute in with values that are stored as T.
template <typename T>
using Computed = typename internal::ComputedIn<T>::Type;

}  // namespace maap

#endif  // KERNELS_HALF_HPP_
