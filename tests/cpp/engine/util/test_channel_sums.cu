#include "caffe/util/channel_sums.hpp"

#include <omp.h>

#include <random>

#include "fixtures.hpp"

namespace caffe {

namespace {

struct ValueAndSquare {
  const float* x;
  CAFFE_HD double first(int, int i) const { return x[i]; }
  CAFFE_HD double second(int c, int i) const { return c + double(x[i]) * double(x[i]); }
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
  for (const ChannelShape shape :
       {ChannelShape{2, 3, 1}, {7, 5, 15}, {3, 4, 16}, {1, 1, 100000}, {5, 7, 1234}, {0, 3, 4}}) {
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
          second += c + static_cast<long double>(value) * value;
        }
      }
      EXPECT_NEAR(one[2 * c], static_cast<double>(first), 1e-12 * shape.per_channel());
      EXPECT_NEAR(one[2 * c + 1], static_cast<double>(second), 1e-11 * shape.per_channel());
    }
  }
  omp_set_num_threads(before);
}

}  // namespace caffe
