#ifndef CAFFE_UTIL_RANDOM_BITS_HPP_
#define CAFFE_UTIL_RANDOM_BITS_HPP_

// Random numbers by index: any thread, on either device, can compute the i-th number of a sequence
// without the ones before it. The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014), whose state is a counter, so that it can start
// anywhere.

#include <cstdint>

#include "caffe/util/parallel.hpp"

namespace caffe {

class RandomBits {
 public:
  /// Seeds that differ in one bit give unrelated sequences.
  explicit CAFFE_HD RandomBits(uint32_t seed) : start_(mix(seed + kStep)) {}

  /// 64 independent random bits, and the upper half of them.
  CAFFE_HD uint64_t all_at(int i) const {
    return mix(start_ + (static_cast<uint64_t>(i) + 1) * kStep);
  }
  CAFFE_HD uint32_t at(int i) const { return static_cast<uint32_t>(all_at(i) >> 32); }

 private:
  static constexpr uint64_t kStep = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio, odd

  /// A bijection in which each bit of z affects every bit of the result.
  static CAFFE_HD uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t start_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_RANDOM_BITS_HPP_
