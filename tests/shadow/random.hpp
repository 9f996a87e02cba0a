#ifndef TESTS_SHADOW_RANDOM_HPP_
#define TESTS_SHADOW_RANDOM_HPP_

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace shadow {

/// Mixes the bits of x: neighbouring numbers give unrelated ones (the finaliser of SplitMix64).
inline uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// A sequence of random numbers; satisfies UniformRandomBitGenerator.
class Random {
 public:
  typedef uint64_t result_type;
  explicit Random(uint64_t seed) : state_(seed) {}
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t(0); }
  uint64_t operator()() { return mix(state_++); }
  /// In [0, n).
  uint64_t below(uint64_t n) { return (*this)() % n; }

 private:
  uint64_t state_;
};

/// An order of the numbers [0, n) that needs no memory.
class Order {
 public:
  Order(uint64_t n, Random* random) : n_(n), start_(random->below(n)), step_(random->below(n) | 1) {
    while (std::gcd(step_, n_) != 1) step_ += 2;
  }
  uint64_t at(uint64_t i) const { return (start_ + i % n_ * (step_ % n_)) % n_; }

 private:
  uint64_t n_, start_, step_;
};

}  // namespace shadow

#endif  // TESTS_SHADOW_RANDOM_HPP_
