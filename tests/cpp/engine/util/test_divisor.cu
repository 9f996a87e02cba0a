#include "caffe/util/divisor.hpp"

#include <climits>
#include <random>

#include "fixtures.hpp"

namespace caffe {

namespace {

void expect_exact(int by, int i) {
  const Divisor divisor(by);
  ASSERT_EQ(i / divisor, i / by) << i << " / " << by;
  ASSERT_EQ(i % divisor, i % by) << i << " % " << by;
}

/// Indices around the multiples of `by`, and the ends.
void expect_exact_around(int by) {
  for (const int64_t times : {0, 1, 2, 1000, INT_MAX / by - 1, INT_MAX / by}) {
    for (const int64_t i : {times * by - 1, times * by, times * by + 1}) {
      if (i >= 0 && i <= INT_MAX) expect_exact(by, static_cast<int>(i));
    }
  }
  expect_exact(by, INT_MAX);
}

}  // namespace

TEST(Divisor, IsExact) {
  for (int by = 1; by < 3000; ++by) expect_exact_around(by);
  for (int bit = 12; bit < 31; ++bit) {
    for (const int by : {(1 << bit) - 1, 1 << bit, (1 << bit) + 1}) expect_exact_around(by);
  }
  expect_exact_around(INT_MAX);
  std::mt19937 random(1);
  std::uniform_int_distribution<int> any(1, INT_MAX);
  for (int n = 0; n < 20000; ++n) expect_exact_around(any(random));
}

TEST(Divisor, IsANumberElsewhere) {
  const Divisor seven = 7;
  EXPECT_EQ(seven * 6, 42);
  EXPECT_EQ(seven - 1, 6);
}

}  // namespace caffe
