#ifndef TESTS_CPP_KERNELS_EXTREME_MAPS_HPP_
#define TESTS_CPP_KERNELS_EXTREME_MAPS_HPP_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace maap {

/// Finite maps at the ends of what a T can hold: denormals, neighbouring numbers, ranges that
/// overflow, any bits. The same seed gives the same map.
template <typename T>
class ExtremeMaps {
 public:
  static constexpr int kKinds = 10;

  static std::vector<T> make(int seed, int size) {
    std::mt19937 random(seed);
    const ExtremeMaps kind(seed % kKinds, &random);
    std::vector<T> map(size);
    for (T& value : map) value = kind.draw(&random);
    return map;
  }

 private:
  using Limits = std::numeric_limits<T>;

  ExtremeMaps(int kind, std::mt19937* random)
      : kind_(kind),
        levels_(2 + below(random, 5) * below(random, 200)),
        base_(finite_bits(random)),
        other_(finite_bits(random)) {}

  static int below(std::mt19937* random, int n) {
    return static_cast<int>((*random)() % static_cast<unsigned>(n));
  }
  /// Any finite number, all exponents equally often.
  static T finite_bits(std::mt19937* random) {
    for (;;) {
      const uint64_t bits = static_cast<uint64_t>((*random)()) << 32 | (*random)();
      T value;
      std::memcpy(&value, &bits, sizeof(T));
      if (std::isfinite(value)) return value;
    }
  }
  static T neighbour(T value, int steps) {
    for (int i = 0; i < steps; ++i) value = std::nextafter(value, -Limits::max());
    return value;
  }

  T draw(std::mt19937* random) const {
    const T least = Limits::denorm_min(), most = Limits::max();
    const int level = below(random, levels_);
    switch (kind_) {
      case 0:  // a few of the smallest numbers
        return least * T(level);
      case 1:  // of both signs
        return least * T(level - levels_ / 2);
      case 2:  // neighbours
        return neighbour(base_, below(random, 4));
      case 3:  // neighbours of 1/2
        return neighbour(T(0.5), below(random, 300));
      case 4:  // two values
        return below(random, 2) != 0 ? base_ : other_;
      case 5:  // the largest numbers
        return below(random, 2) != 0 ? most : -most;
      case 6:  // a range that no T can hold
        return (T(level) / T(levels_ - 1) * T(2) - T(1)) * most;
      case 7:  // anything
        return finite_bits(random);
      case 8:  // an ordinary map, scaled
        return std::ldexp(T(level) / T(levels_), std::ilogb(base_));
      default:  // a single value
        return below(random, 30) == 0 ? base_ : T(0);
    }
  }

  int kind_, levels_;
  T base_, other_;
};

}  // namespace maap

#endif  // TESTS_CPP_KERNELS_EXTREME_MAPS_HPP_
