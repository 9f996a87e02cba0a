#include <cmath>
#include <limits>

#include "caffe/util/math_functions.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

template <typename Dtype>
class RandomTest : public ::testing::Test {
 protected:
  static constexpr int kCount = 100000;
  RandomTest() : values(kCount) { Caffe::set_random_seed(1701); }

  double mean() const {
    double sum = 0;
    for (const Dtype v : values) sum += v;
    return sum / kCount;
  }
  double deviation() const {
    const double m = mean();
    double sum = 0;
    for (const Dtype v : values) sum += (v - m) * (v - m);
    return std::sqrt(sum / kCount);
  }
  /// The fraction of values within `k` deviations of the mean.
  double within(double k, double mu, double sigma) const {
    int count = 0;
    for (const Dtype v : values) count += std::fabs(v - mu) < k * sigma;
    return static_cast<double>(count) / kCount;
  }

  vector<Dtype> values;
};
TYPED_TEST_SUITE(RandomTest, Dtypes);

TYPED_TEST(RandomTest, Uniform) {
  const TypeParam a = -1.5, b = 2.5;
  caffe_rng_uniform(this->kCount, a, b, this->values.data());
  for (const TypeParam v : this->values) ASSERT_TRUE(v >= a && v < b) << v;
  EXPECT_NEAR(this->mean(), 0.5, 0.02);  // standard deviation of the mean: 0.0037
  EXPECT_NEAR(this->deviation(), 4 / std::sqrt(12.0), 0.02);
}

TYPED_TEST(RandomTest, UniformBetweenNeighboursAndExtremes) {
  const TypeParam one = 1, next = caffe_nextafter(one);
  caffe_rng_uniform(1000, one, next, this->values.data());
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(this->values[i], one);
  caffe_rng_uniform(10, one, one, this->values.data());
  EXPECT_EQ(this->values[9], one);
  const TypeParam largest = std::numeric_limits<TypeParam>::max();
  caffe_rng_uniform(1000, -largest, largest, this->values.data());
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(std::isfinite(this->values[i]));
  EXPECT_ERROR(caffe_rng_uniform(1, next, one, this->values.data()), "larger");
}

TYPED_TEST(RandomTest, Gaussian) {
  caffe_rng_gaussian(this->kCount, TypeParam(3), TypeParam(2), this->values.data());
  EXPECT_NEAR(this->mean(), 3, 0.04);  // standard deviation of the mean: 0.0063
  EXPECT_NEAR(this->deviation(), 2, 0.03);
  EXPECT_NEAR(this->within(1, 3, 2), 0.6827, 0.01);
  EXPECT_NEAR(this->within(2, 3, 2), 0.9545, 0.005);
  EXPECT_NEAR(this->within(3, 3, 2), 0.9973, 0.001);
  EXPECT_ERROR(caffe_rng_gaussian(1, TypeParam(0), TypeParam(-1), this->values.data()), "negative");
}

TYPED_TEST(RandomTest, GaussianOfOddCountWritesNoMore) {
  this->values[3] = 77;
  caffe_rng_gaussian(3, TypeParam(0), TypeParam(1), this->values.data());
  EXPECT_EQ(this->values[3], TypeParam(77));
}

TYPED_TEST(RandomTest, Bernoulli) {
  vector<int> drawn(this->kCount);
  for (const double p : {0.0, 0.3, 0.5, 1.0}) {
    caffe_rng_bernoulli(this->kCount, TypeParam(p), drawn.data());
    int ones = 0;
    for (const int v : drawn) {
      ASSERT_TRUE(v == 0 || v == 1);
      ones += v;
    }
    if (p == 0 || p == 1) {
      EXPECT_EQ(ones, p * this->kCount);
    } else {
      EXPECT_NEAR(ones, p * this->kCount, 900);  // deviation 158 at most
    }
  }
  EXPECT_ERROR(caffe_rng_bernoulli(1, TypeParam(1.5), drawn.data()), "[0, 1]");
  EXPECT_ERROR(caffe_rng_bernoulli(1, TypeParam(NAN), drawn.data()), "[0, 1]");
}

TYPED_TEST(RandomTest, SameSeedSameNumbers) {
  vector<TypeParam> again(100);
  vector<unsigned int> ones(100), ones_again(100);
  for (int i = 0; i < 2; ++i) {
    Caffe::set_random_seed(9);
    caffe_rng_uniform(50, TypeParam(0), TypeParam(1), (i ? again : this->values).data());
    caffe_rng_gaussian(50, TypeParam(0), TypeParam(1), (i ? again : this->values).data() + 50);
    caffe_rng_bernoulli(100, TypeParam(0.5), (i ? ones_again : ones).data());
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(this->values[i], again[i]);
  EXPECT_EQ(ones, ones_again);
  EXPECT_NE(caffe_rng_rand(), caffe_rng_rand());
}

}  // namespace caffe
