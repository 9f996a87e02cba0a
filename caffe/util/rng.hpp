#ifndef CAFFE_UTIL_RNG_HPP_
#define CAFFE_UTIL_RNG_HPP_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>

#include "caffe/common.hpp"

namespace caffe {

typedef std::mt19937 rng_t;

/// The calling thread's generator.
inline rng_t* caffe_rng() {
  return static_cast<rng_t*>(Caffe::rng_stream().generator());
}

/// A uniformly distributed number in [0, n); n >= 1. Unlike the standard library's distributions,
/// it gives the same numbers with every implementation.
inline uint32_t random_below(uint32_t n, rng_t* generator) {
  const uint32_t rest =
      static_cast<uint32_t>(-n) % n;  // 2^32 mod n: the draws that would favour some
  uint32_t drawn;
  do {
    drawn = static_cast<uint32_t>((*generator)());
  } while (drawn < rest);
  return drawn % n;
}

/// Shuffles [begin, end); all orders are equally likely (Fisher and Yates).
template <typename Iterator>
void shuffle(Iterator begin, Iterator end, rng_t* generator) {
  for (auto left = std::distance(begin, end); left > 1; --left) {
    std::iter_swap(begin + (left - 1),
                   begin + random_below(static_cast<uint32_t>(left), generator));
  }
}

template <typename Iterator>
void shuffle(Iterator begin, Iterator end) {
  shuffle(begin, end, caffe_rng());
}

}  // namespace caffe

#endif  // CAFFE_UTIL_RNG_HPP_
