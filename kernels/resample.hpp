#ifndef KERNELS_RESAMPLE_HPP_
#define KERNELS_RESAMPLE_HPP_

#include "kernels/parallel.hpp"

namespace maap {

/// value / by and the rest, for 0 <= value and a quotient that an int holds. A GPU has no division
/// of 64 bits: the compiler's is a call, around which registers go to memory.
MAAP_HD inline int divide(int64_t value, int64_t by, int64_t* rest) {
  int quotient = static_cast<int>(static_cast<float>(value) / static_cast<float>(by));  // rounded
  *rest = value - quotient * by;
  for (; *rest < 0; *rest += by) --quotient;
  for (; *rest >= by; *rest -= by) ++quotient;
  return quotient;
}

/// Which two of `in` samples give sample i of `out`, and the weight of the second: bilinear
/// resampling with half-pixel centres ("align corners" off) and repeated edges. Sample i lies at
/// ((2 i + 1) in - out) / (2 out), which is divided in integers: exact, and fast on GPUs, most of
/// which compute slowly in double.
template <typename T>
struct Tap {
  int first, second;
  T weight;
  Tap() = default;
  MAAP_HD Tap(int i, int in, int out) {
    const int64_t whole = 2 * static_cast<int64_t>(out), edge = (in - 1) * whole;
    int64_t at = (2 * static_cast<int64_t>(i) + 1) * in - out;
    at = at < 0 ? 0 : at > edge ? edge : at;
    int64_t rest;
    first = divide(at, whole, &rest);
    second = first + 1 < in ? first + 1 : first;
    weight = static_cast<T>(rest) / static_cast<T>(whole);
  }
};

/// Interpolates between a and b; returns exactly a if both are equal, so a flat map stays flat.
template <typename T>
MAAP_HD inline T mix(T a, T b, T weight) {
  return a + (b - a) * weight;
}

/// The same for values whose difference T may not hold, such as its least and its greatest: finite
/// values give a finite one between them.
template <typename T>
MAAP_HD inline T mix_far(T a, T b, T weight) {
  const T half = T(0.5);
  const T value = (half * a + (half * b - half * a) * weight) / half;
  const T low = a < b ? a : b, high = a < b ? b : a;
  return value < low ? low : value > high ? high : value;
}

/// mix() of any values, at the cost of a test.
template <typename T>
MAAP_HD inline T mix_any(T a, T b, T weight) {
  const T apart = b - a;
  return apart - apart == T(0) ? a + apart * weight : mix_far(a, b, weight);
}

/// The sample at (y, x) of a plane whose rows are `stride` apart.
template <typename T>
MAAP_HD inline T bilinear(const T* plane, int stride, const Tap<T>& y, const Tap<T>& x) {
  const T* top = plane + static_cast<int64_t>(y.first) * stride;
  const T* bottom = plane + static_cast<int64_t>(y.second) * stride;
  return mix_any(mix_any(top[x.first], bottom[x.first], y.weight),
                 mix_any(top[x.second], bottom[x.second], y.weight), x.weight);
}

}  // namespace maap

#endif  // KERNELS_RESAMPLE_HPP_
