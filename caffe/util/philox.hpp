#ifndef CAFFE_UTIL_PHILOX_HPP_
#define CAFFE_UTIL_PHILOX_HPP_

#include <cstdint>

#include "caffe_layers/parallel.hpp"

namespace caffe {

/// Random numbers by counter instead of by state: philox(key, i) is the i-th block, so that any
/// thread makes any number, in any order. Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
/// random numbers: as easy as 1, 2, 3" (SC 2011).
struct Philox {
  uint32_t key[2];

  /// Four words of 32 random bits.
  struct Block {
    uint32_t word[4];
  };

  MAAP_HD Block operator()(const Block& counter) const {
    Block x = counter;
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
      const uint64_t a = uint64_t(0xD2511F53u) * x.word[0];
      const uint64_t b = uint64_t(0xCD9E8D57u) * x.word[2];
      const Block next = {{uint32_t(b >> 32) ^ x.word[1] ^ k0, uint32_t(b),
                           uint32_t(a >> 32) ^ x.word[3] ^ k1, uint32_t(a)}};
      x = next;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return x;
  }
  MAAP_HD Block at(uint32_t i) const { return (*this)(Block{{i, 0, 0, 0}}); }
};

/// In [0, 1), with as many random bits as the type has.
MAAP_HD inline float unit_from(const Philox::Block& block, int pair, float) {
  return static_cast<float>(block.word[2 * pair] >> 8) * (1.0f / 16777216.0f);
}
MAAP_HD inline double unit_from(const Philox::Block& block, int pair, double) {
  const uint64_t high = block.word[2 * pair] >> 5, low = block.word[2 * pair + 1] >> 6;
  return static_cast<double>((high << 26) | low) * (1.0 / 9007199254740992.0);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_PHILOX_HPP_
