#include "caffe/util/random_bits.hpp"

#include <cmath>

#include "caffe/util/turns.hpp"
#include "fixtures.hpp"

namespace caffe {

namespace {

/// The generator as its authors describe it: a state that steps, and a mix of it.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

}  // namespace

TEST(RandomBits, AreThoseOfSplitMix64) {
  EXPECT_EQ(SplitMix64(0).next(), 0xE220A8397B1DCDAFu);  // published
  for (const uint32_t seed : {0u, 1u, 123456789u, 0xFFFFFFFFu}) {
    const RandomBits bits(seed);
    SplitMix64 sequence(SplitMix64(seed).next());
    for (int i = 0; i < 1000; ++i) {
      const uint64_t expected = sequence.next();
      ASSERT_EQ(bits.all_at(i), expected) << seed;
      ASSERT_EQ(bits.at(i), expected >> 32) << seed;
    }
  }
  RandomBits(7).at(INT_MAX);
}

TEST(CosOfTurns, IsTheCosine) {
  for (int i = 0; i <= 100000; ++i) {
    const double turns = i / 100000., exact = std::cos(2 * M_PI * turns);
    const float rounded = static_cast<float>(turns);
    ASSERT_NEAR(cos_of_turns(turns), exact, 1e-15) << turns;
    ASSERT_NEAR(cos_of_turns(rounded), std::cos(2 * M_PI * double(rounded)), 1.2e-7) << turns;
  }
}

}  // namespace caffe
