#ifndef BENCH_FLOATS_HPP_
#define BENCH_FLOATS_HPP_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace bench {

/// An array at a multiple of 64 bytes, of zeros.
struct Floats {
  explicit Floats(size_t size) : size(size), memory(size + 16) {
    const auto address = reinterpret_cast<uintptr_t>(memory.data());
    values = reinterpret_cast<float*>((address + 63) / 64 * 64);
  }
  void randomise() {
    static std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < size; ++i) values[i] = normal(random);
  }
  operator float*() const { return values; }

  size_t size;
  std::vector<float> memory;
  float* values;
};

}  // namespace bench

#endif  // BENCH_FLOATS_HPP_
