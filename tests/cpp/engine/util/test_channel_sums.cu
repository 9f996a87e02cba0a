#include "caffe/util/channel_sums.hpp"

#include <omp.h>

#include <cmath>
#include <random>
#include <vector>

#include "fixtures.hpp"

namespace caffe {

namespace {

struct ValueAndSquare {
  using Value = float;
  const float* x;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return W(x[i]);
  }
  template <typename W>
  CAFFE_HD Product<W> second(int c, int i) const {
    return {W(x[i]), W(c + 1) * W(x[i])};
  }
};

struct Write {
  double* sums;  // [channels, 2]
  CAFFE_HD void operator()(int c, double first, double second) const {
    sums[2 * c] = first;
    sums[2 * c + 1] = second;
  }
};

}  // namespace

TEST(ChannelSums, AddUpEachChannelAlikeForAnyNumberOfThreads) {
  const int before = omp_get_max_threads();
  const std::vector<ChannelShape> shapes = {{2, 3, 1},      {7, 5, 15},   {3, 4, 16},
                                            {1, 1, 100000}, {5, 7, 1234}, {0, 3, 4}};
  for (const ChannelShape& shape : shapes) {
    std::vector<float> x(shape.rows() * shape.inner);
    std::mt19937 random(3);
    for (float& value : x) value = std::uniform_real_distribution<float>(-1, 2)(random);
    Blob<double> planes;
    std::vector<double> one(2 * shape.channels), three = one;
    omp_set_num_threads(1);
    channel_sums(shape, ValueAndSquare{x.data()}, &planes, Write{one.data()});
    omp_set_num_threads(3);
    channel_sums(shape, ValueAndSquare{x.data()}, &planes, Write{three.data()});
    EXPECT_EQ(one, three);
    for (int c = 0; c < shape.channels; ++c) {
      long double first = 0, second = 0;
      for (int o = 0; o < shape.outer; ++o) {
        for (int i = 0; i < shape.inner; ++i) {
          const float value = x[(o * shape.channels + c) * shape.inner + i];
          first += value;
          second += (c + 1) * static_cast<long double>(value) * value;
        }
      }
      EXPECT_NEAR(one[2 * c], static_cast<double>(first), 1e-12 * shape.per_channel());
      EXPECT_NEAR(one[2 * c + 1], static_cast<double>(second), 1e-11 * shape.per_channel());
    }
  }
  omp_set_num_threads(before);
}

TEST(PairedSum, IsNearlyAsExactAsADouble) {
  std::mt19937 random(5);
  PairedSum<float> sum = {}, products = {};
  long double exact = 0, exact_products = 0;
  for (int i = 0; i < 100000; ++i) {
    const float a = std::uniform_real_distribution<float>(0, 1)(random);
    const float b = std::uniform_real_distribution<float>(-1, 2)(random);
    sum.add(a);
    products.add(Product<float>{a, b});
    exact += a;
    exact_products += static_cast<long double>(a) * b;
  }
  EXPECT_NEAR(sum.total(), static_cast<double>(exact), 1e-9 * static_cast<double>(exact));
  EXPECT_NEAR(products.total(), static_cast<double>(exact_products), 1e-9 * 100000);
}

TEST(PairedSum, KeepsWhatLargeTermsLeave) {
  std::mt19937 random(6);
  PairedSum<float> sum = {};
  for (int i = 0; i < 1000; ++i) {
    const float large = std::uniform_real_distribution<float>(1e6f, 2e6f)(random);
    sum.add(large);
    sum.add(1e-3f);  // a float of this size is a multiple of 1/16
    sum.add(-large);
  }
  EXPECT_NEAR(sum.total(), 1., 1e-4);
}

TEST(PairedSum, AddsOtherSums) {
  PairedSum<float> one = {}, other = {};
  for (int i = 0; i < 1000; ++i) {
    one.add(16777216.f);
    other.add(1.f / 3);
  }
  EXPECT_NEAR((one + other).total(), 16777216e3 + 1000 * double(1.f / 3), 1e-3);
}

TEST(PairedSum, KeepsWhatIsNotFinite) {
  PairedSum<float> sum = {};
  sum.add(1.f);
  sum.add(INFINITY);
  EXPECT_EQ(sum.total(), INFINITY);
  sum.add(-INFINITY);
  EXPECT_TRUE(std::isnan(sum.total()));
  PairedSum<float> products = {};
  products.add(Product<float>{-INFINITY, 2.f});
  EXPECT_EQ(products.total(), -INFINITY);
}

}  // namespace caffe
