#ifndef CAFFE_UTIL_ITEM_RANDOM_HPP_
#define CAFFE_UTIL_ITEM_RANDOM_HPP_

#include <cstdint>

namespace caffe {

/// Random numbers that belong to one item of a sequence: they depend on (seed, item) alone, so
/// items may be processed in any order and by any thread. The generator is Steele, Lea and Flood's
/// SplitMix64, which costs nothing to construct, unlike a Mersenne twister.
class ItemRandom {
 public:
  ItemRandom(uint64_t seed, uint64_t item) : state_(mix(mix(seed + kStep) + item)) {}

  uint32_t operator()() { return static_cast<uint32_t>(mix(state_ += kStep) >> 32); }
  /// A uniformly distributed number in [0, n); n >= 1.
  int below(int n) {
    const uint32_t range = static_cast<uint32_t>(n);
    const uint32_t rest = (~range + 1) % range;  // 2^32 mod n: the draws that would favour some
    uint32_t drawn = (*this)();
    while (drawn < rest) drawn = (*this)();
    return static_cast<int>(drawn % range);
  }

 private:
  static constexpr uint64_t kStep = 0x9E3779B97F4A7C15u;

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_ITEM_RANDOM_HPP_
