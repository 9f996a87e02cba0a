#include "caffe/util/winograd.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "util/blocked_values.hpp"

namespace caffe {
namespace winograd {
namespace {

/// The same sums in double precision.
struct Reference {
  const Shape& s;
  std::vector<double> top, bottom_gradient, weights_gradient, bias_gradient;

  Reference(const Shape& s, const Floats& x, const Floats& w, const Floats& bias, const Floats& dy)
      : s(s),
        top(dy.size()),
        bottom_gradient(x.size()),
        weights_gradient(w.size()),
        bias_gradient(bias.size()) {
    const int channels = s.channels / s.groups, outputs = s.outputs / s.groups;
    size_t at = 0;
    for (int n = 0; n < s.images; ++n) {
      for (int k = 0; k < s.outputs; ++k) {
        for (int y = 0; y < s.top_height(); ++y) {
          for (int column = 0; column < s.top_width(); ++column, ++at) {
            top[at] = bias[k];
            bias_gradient[k] += dy[at];
            for (int c = 0; c < channels; ++c) {
              add_window(n, k, k / outputs * channels + c, c, y, column, at, x, w, dy);
            }
          }
        }
      }
    }
  }

  void add_window(int n, int k, int channel, int c, int y, int column, size_t at, const Floats& x,
                  const Floats& w, const Floats& dy) {
    for (int i = 0; i < s.kernel; ++i) {
      const int row = y + i - s.pad_h;
      if (row < 0 || row >= s.height) continue;
      for (int j = 0; j < s.kernel; ++j) {
        const int from = column + j - s.pad_w;
        if (from < 0 || from >= s.width) continue;
        const size_t in = ((size_t(n) * s.channels + channel) * s.height + row) * s.width + from;
        const size_t weight =
            ((size_t(k) * (s.channels / s.groups) + c) * s.kernel + i) * s.kernel + j;
        top[at] += double(x[in]) * w[weight];
        bottom_gradient[in] += double(dy[at]) * w[weight];
        weights_gradient[weight] += double(dy[at]) * x[in];
      }
    }
  }
};

/// What the code under test computes, as plain values.
struct Results {
  Floats top, bottom_gradient, weights_gradient, bias_gradient;
  bool operator==(const Results& other) const {
    return top == other.top && bottom_gradient == other.bottom_gradient &&
           weights_gradient == other.weights_gradient && bias_gradient == other.bias_gradient;
  }
};

class Winograd : public IsaTest {
 protected:
  static Floats run_forward(const Convolution& convolution, const Floats& x, const Floats& w,
                            bool transposed, const float* bias, bool relu) {
    const Shape& s = convolution.shape();
    const int block = convolution.block();
    const int pixels = s.height * s.width, top_pixels = s.top_height() * s.top_width();
    Aligned bottom(x.size()), weights(convolution.weights_size()),
        top(size_t(s.images) * s.outputs * top_pixels), space(convolution.forward_workspace());
    for_each_pair(s.images, s.channels, pixels, block,
                  [&](size_t i, size_t j) { bottom.get()[j] = x[i]; });
    convolution.transform_weights(w.data(), transposed, weights.get());
    convolution.forward(bottom.get(), weights.get(), bias, relu, top.get(), space.get());
    Floats result(size_t(s.images) * s.outputs * top_pixels);
    for_each_pair(s.images, s.outputs, top_pixels, block,
                  [&](size_t i, size_t j) { result[i] = top.get()[j]; });
    return result;
  }

  static Results run(const Shape& s, Isa isa, const Caches& caches, const Floats& x,
                     const Floats& w, const Floats& bias, const Floats& dy) {
    const Convolution convolution(s, isa, caches), back(s.transposed(), isa, caches);
    Results results;
    results.top = run_forward(convolution, x, w, false, bias.data(), false);
    results.bottom_gradient = run_forward(back, dy, w, true, nullptr, false);
    const int block = convolution.block();
    Aligned bottom(x.size()), gradient(dy.size()), space(convolution.backward_workspace());
    for_each_pair(s.images, s.channels, s.height * s.width, block,
                  [&](size_t i, size_t j) { bottom.get()[j] = x[i]; });
    for_each_pair(s.images, s.outputs, s.top_height() * s.top_width(), block,
                  [&](size_t i, size_t j) { gradient.get()[j] = dy[i]; });
    results.weights_gradient.assign(w.size(), 1);  // it adds
    results.bias_gradient.assign(bias.size(), 1);
    convolution.backward_weights(bottom.get(), gradient.get(), results.weights_gradient.data(),
                                 results.bias_gradient.data(), space.get());
    return results;
  }

  static void expect_near(const std::vector<double>& expected, const Floats& found, double offset,
                          double tolerance, const char* what) {
    double largest = 0, error = 0;
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_TRUE(std::isfinite(found[i])) << what << ", value " << i;
      largest = std::max(largest, std::abs(expected[i]));
      error = std::max(error, std::abs(found[i] - offset - expected[i]));
    }
    EXPECT_LE(error, tolerance * largest) << what;
  }

  /// Compares with sums in double precision, and the bits for several numbers of threads.
  void check(const Shape& s, const Caches& caches = Caches()) {
    SCOPED_TRACE(std::to_string(s.images) + " x " + std::to_string(s.channels) + " x " +
                 std::to_string(s.height) + " x " + std::to_string(s.width) + ", " +
                 std::to_string(s.outputs) + " outputs, " + std::to_string(s.groups) +
                 " groups, kernel " + std::to_string(s.kernel) + ", pad " +
                 std::to_string(s.pad_h) + " " + std::to_string(s.pad_w));
    ASSERT_TRUE(Convolution::supports(s, GetParam()));
    const Floats x = random_values(size_t(s.images) * s.channels * s.height * s.width, 1);
    const Floats w =
        random_values(size_t(s.outputs) * s.channels / s.groups * s.kernel * s.kernel, 2);
    const Floats bias = random_values(s.outputs, 3);
    const Floats dy =
        random_values(size_t(s.images) * s.outputs * s.top_height() * s.top_width(), 4);
    const Reference expected(s, x, w, bias, dy);
    omp_set_num_threads(1);
    const Results one = run(s, GetParam(), caches, x, w, bias, dy);
    expect_near(expected.top, one.top, 0, 2e-6, "top");
    expect_near(expected.bottom_gradient, one.bottom_gradient, 0, 2e-6, "gradient of the bottom");
    expect_near(expected.weights_gradient, one.weights_gradient, 1, s.kernel == 3 ? 2e-6 : 4e-6,
                "gradient of the weights");
    expect_near(expected.bias_gradient, one.bias_gradient, 1, 1e-6, "gradient of the bias");
    for (const int threads : {2, 3}) {
      omp_set_num_threads(threads);
      EXPECT_TRUE(run(s, GetParam(), caches, x, w, bias, dy) == one) << threads << " threads";
    }
  }
};

// {images, channels, height, width, outputs, groups, kernel, pad_h, pad_w}

TEST_P(Winograd, AgreesForWindowsOf3) {
  check({1, 16, 8, 8, 16, 1, 3, 1, 1});
  check({2, 32, 9, 14, 48, 1, 3, 1, 1});  // widths that tiles do not divide, an odd panel
  check({3, 16, 7, 5, 32, 1, 3, 0, 2});
  check({2, 16, 11, 6, 16, 1, 3, 2, 0});
  check({1, 48, 6, 6, 16, 1, 3, 0, 0});
}

TEST_P(Winograd, AgreesForImagesSmallerThanATile) {
  check({5, 16, 1, 1, 16, 1, 3, 1, 1});
  check({2, 16, 2, 3, 32, 1, 3, 1, 1});
  check({1, 16, 3, 3, 16, 1, 3, 0, 0});
  check({3, 16, 1, 2, 16, 1, 5, 2, 2});
}

TEST_P(Winograd, AgreesForWindowsOf5) {
  check({2, 16, 9, 7, 32, 1, 5, 2, 2});
  check({1, 32, 6, 11, 16, 1, 5, 0, 4});
  check({2, 96, 13, 13, 64, 2, 5, 2, 2});
}

TEST_P(Winograd, AgreesForGroupsAndManyImages) {
  check({33, 32, 5, 5, 64, 2, 3, 1, 1});
  check({2, 96, 13, 13, 48, 3, 3, 1, 1});
}

TEST_P(Winograd, AgreesForEveryNumberOfBlocks) {
  const int block = Convolution({1, 16, 8, 8, 16, 1, 3, 1, 1}, GetParam()).block();
  for (int channels = 1; channels <= 3; ++channels) {
    for (int outputs = 1; outputs <= 7; ++outputs) {
      check({1, channels * block, 9, 10, outputs * block, 1, 3, 1, 1});
      check({1, 2 * channels * block, 9, 6, 2 * outputs * block, 2, 5, 2, 2});
    }
  }
}

TEST_P(Winograd, AgreesForManyChannels) {
  check({1, 192, 9, 9, 112, 1, 3, 1, 1});  // weights that threads share
  check({1, 16, 5, 5, 208, 1, 3, 1, 1});
}

TEST_P(Winograd, AgreesForEveryDivisionOfTheWork) {
  const Shape shape{3, 32, 30, 21, 96, 2, 3, 1, 1}, wide{2, 32, 17, 17, 64, 1, 5, 2, 2};
  Caches caches;
  caches.own_part = caches.least_shared_part = caches.most_shared_part = 100
                                                                         << 10;  // several parts
  check(shape, caches);
  check(wide, caches);
  caches.own_weights = 0;
  caches.weights = 1;  // one panel at a time
  check(shape, caches);
  check(wide, caches);
}

TEST_P(Winograd, ReplacesNegativeValues) {
  const Shape s{2, 16, 6, 7, 32, 1, 3, 1, 1};
  const Floats x = random_values(2 * 16 * 42, 1), w = random_values(32 * 16 * 9, 2);
  const Convolution convolution(s, GetParam());
  const Floats plain = run_forward(convolution, x, w, false, nullptr, false);
  Floats positive = run_forward(convolution, x, w, false, nullptr, true);
  EXPECT_LT(*std::min_element(plain.begin(), plain.end()), 0);
  for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(positive[i], std::max(plain[i], 0.f));
}

TEST_P(Winograd, ComputesEitherLearntGradientAlone) {
  const Convolution convolution({2, 32, 6, 8, 32, 2, 3, 1, 1}, GetParam());
  const size_t count = 2 * 32 * 6 * 8, filters = 32 * 16 * 9;
  const Floats x = random_values(count, 1), dy = random_values(count, 2);
  Aligned bottom(count), gradient(count), space(convolution.backward_workspace());
  std::copy(x.begin(), x.end(), bottom.get());  // in any order
  std::copy(dy.begin(), dy.end(), gradient.get());
  Floats weights(filters), bias(32), weights_alone(filters), bias_alone(32);
  const auto run = [&](float* to_weights, float* to_bias) {
    convolution.backward_weights(bottom.get(), gradient.get(), to_weights, to_bias, space.get());
  };
  run(weights.data(), bias.data());
  run(weights_alone.data(), nullptr);
  run(nullptr, bias_alone.data());
  EXPECT_NE(bias[0], 0);
  EXPECT_EQ(weights_alone, weights);
  EXPECT_EQ(bias_alone, bias);
}

TEST_P(Winograd, SupportsWhatItSays) {
  const Shape good{1, 32, 8, 8, 32, 2, 3, 1, 1};
  EXPECT_TRUE(Convolution::supports(good, GetParam()));
  for (int Shape::*const member : {&Shape::channels, &Shape::outputs}) {
    Shape bad = good;
    bad.*member += 2;  // a group's channels do not fill blocks
    EXPECT_FALSE(Convolution::supports(bad, GetParam()));
  }
  Shape bad = good;
  bad.kernel = 4;
  EXPECT_FALSE(Convolution::supports(bad, GetParam()));
  bad = good;
  bad.pad_w = 3;
  EXPECT_FALSE(Convolution::supports(bad, GetParam()));
  bad = good;
  bad.height = bad.width = 2;
  bad.pad_h = bad.pad_w = 0;
  EXPECT_FALSE(Convolution::supports(bad, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Isas, Winograd, kIsas, isa_name);

}  // namespace
}  // namespace winograd
}  // namespace caffe
