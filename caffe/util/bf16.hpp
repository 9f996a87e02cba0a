#ifndef CAFFE_UTIL_BF16_HPP_
#define CAFFE_UTIL_BF16_HPP_

#include <cstdint>

namespace caffe {

/// A bfloat16 number: the upper half of a float's bits.
typedef uint16_t Bf16;

/// to[i] = from[i], which is exact.
void widen(const Bf16* from, int64_t count, float* to);
/// to[i] = the nearest bfloat16 number, of two the even one: off by at most 2^-8 of its size. A NaN
/// stays one, and what is too large becomes infinite.
void narrow(const float* from, int64_t count, Bf16* to);

}  // namespace caffe

#endif  // CAFFE_UTIL_BF16_HPP_
