#ifndef TESTS_CPP_ENGINE_UTIL_BLOCKED_VALUES_HPP_
#define TESTS_CPP_ENGINE_UTIL_BLOCKED_VALUES_HPP_

// What the tests of the engine's own code for images in blocks of channels share.

#include <gtest/gtest.h>
#include <omp.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "caffe/util/cpu_isa.hpp"

namespace caffe {

typedef std::vector<float> Floats;

/// Floats at `offset` floats from a multiple of 64 bytes; filled with a value that an error would
/// show.
class Aligned {
 public:
  explicit Aligned(size_t count, float value = 1e30f, int offset = 0)
      : values_(count + 32, value), offset_(offset) {}
  float* get() {
    const auto address = reinterpret_cast<uintptr_t>(values_.data());
    return reinterpret_cast<float*>((address + 63) / 64 * 64) + offset_;
  }

 private:
  Floats values_;
  int offset_;
};

/// Normally distributed around 0.
inline Floats random_values(size_t count, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// f(i, j) for plain[n][c][pixel] at i and blocked[n][c / block][pixel][c % block] at j.
template <typename F>
void for_each_pair(int images, int channels, int pixels, int block, const F& f) {
  for (int n = 0; n < images; ++n) {
    for (int c = 0; c < channels; ++c) {
      for (int i = 0; i < pixels; ++i) {
        f((size_t(n) * channels + c) * pixels + i,
          ((size_t(n) * (channels / block) + c / block) * pixels + i) * block + c % block);
      }
    }
  }
}

/// A test for each set of instructions that the processor has. It may change the number of threads.
class IsaTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!processor_has(GetParam())) GTEST_SKIP() << "not on this machine";
  }
  void TearDown() override { omp_set_num_threads(threads_); }

 private:
  const int threads_ = omp_get_max_threads();
};

/// For INSTANTIATE_TEST_SUITE_P: all sets, and their names.
inline const auto kIsas = testing::Values(Isa::kPlain, Isa::kAvx2, Isa::kAvx512);
inline std::string isa_name(const testing::TestParamInfo<Isa>& info) {
  return info.param == Isa::kPlain ? "Plain" : info.param == Isa::kAvx2 ? "Avx2" : "Avx512";
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_UTIL_BLOCKED_VALUES_HPP_
