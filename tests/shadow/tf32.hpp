#ifndef TESTS_SHADOW_TF32_HPP_
#define TESTS_SHADOW_TF32_HPP_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace shadow {

/// A float rounded to TF32, the nearest number with 10 bits behind the point.
inline float to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~uint32_t(0x1fff);
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace shadow

#endif  // TESTS_SHADOW_TF32_HPP_
