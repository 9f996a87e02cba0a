#include "caffe/util/rng.hpp"

#include <numeric>

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(Rng, RandomBelowIsUniform) {
  rng_t generator(1);
  vector<int> met(7);
  for (int i = 0; i < 70000; ++i) {
    const uint32_t drawn = random_below(7, &generator);
    ASSERT_LT(drawn, 7u);
    ++met[drawn];
  }
  // 10000 expected each, deviation 93.
  for (const int count : met) EXPECT_NEAR(count, 10000, 500);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random_below(1, &generator), 0u);
}

TEST(Rng, ShuffleKeepsTheElementsAndFollowsTheSeed) {
  const auto shuffled = [](unsigned int seed) {
    Caffe::set_random_seed(seed);
    vector<int> values(100);
    std::iota(values.begin(), values.end(), 0);
    shuffle(values.begin(), values.end());
    return values;
  };
  vector<int> values = shuffled(1);
  EXPECT_EQ(values, shuffled(1));
  EXPECT_NE(values, shuffled(2));
  EXPECT_FALSE(std::is_sorted(values.begin(), values.end()));
  std::sort(values.begin(), values.end());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(values[i], i);
}

TEST(Rng, AllOrdersAreEquallyLikely) {
  rng_t generator(2);
  std::map<vector<int>, int> met;
  for (int i = 0; i < 6000; ++i) {
    vector<int> values = {0, 1, 2};
    shuffle(values.begin(), values.end(), &generator);
    ++met[values];
  }
  ASSERT_EQ(met.size(), 6u);
  for (const auto& order : met) EXPECT_NEAR(order.second, 1000, 150);  // deviation 29
}

}  // namespace caffe
