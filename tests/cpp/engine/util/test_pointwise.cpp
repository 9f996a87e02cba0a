#include "caffe/util/pointwise.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "util/blocked_values.hpp"

namespace caffe {
namespace {

typedef PointwiseConvolution::Shape Shape;
typedef PointwiseConvolution::Relu Relu;

const Relu kNone = {false, 0}, kRelu = {true, 0};

class Pointwise : public IsaTest {
 protected:
  /// The top, row by row, from a bottom that is row by row. `padding` gets what pads the outputs.
  static Floats run(const Shape& s, const Floats& x, const Floats& w, const float* bias,
                    const Relu& relu, Floats* padding = nullptr) {
    const PointwiseConvolution code(s, GetParam());
    const int block = code.block();
    const auto up = [block](int channels) { return (channels + block - 1) / block; };
    Aligned bottom(size_t(s.images) * up(s.channels) * s.pixels * block, 0);
    const auto at = [&](int blocks, int n, int c, int i) {
      return ((size_t(n) * blocks + c / block) * s.pixels + i) * block + c % block;
    };
    size_t from = 0;
    for (int n = 0; n < s.images; ++n) {
      for (int c = 0; c < s.channels; ++c) {
        for (int i = 0; i < s.pixels; ++i) bottom.get()[at(up(s.channels), n, c, i)] = x[from++];
      }
    }
    Aligned weights(code.weights_size());
    code.arrange_weights(w.data(), weights.get());
    Aligned top(size_t(s.images) * up(s.outputs) * s.pixels * block);
    code.forward(bottom.get(), weights.get(), bias, relu, top.get());
    Floats result;
    for (int n = 0; n < s.images; ++n) {
      for (int k = 0; k < up(s.outputs) * block; ++k) {
        for (int i = 0; i < s.pixels; ++i) {
          const float value = top.get()[at(up(s.outputs), n, k, i)];
          if (k < s.outputs) result.push_back(value);
          if (k >= s.outputs && padding != nullptr) padding->push_back(value);
        }
      }
    }
    return result;
  }

  static void expect_right(const Shape& s, bool has_bias, const Relu& relu) {
    SCOPED_TRACE(std::to_string(s.images) + " images, " + std::to_string(s.channels) + " to " +
                 std::to_string(s.outputs) + ", " + std::to_string(s.pixels) + " pixels");
    const Floats x = random_values(size_t(s.images) * s.channels * s.pixels, 1);
    const Floats w = random_values(size_t(s.outputs) * s.channels, 2);
    const Floats bias = random_values(s.outputs, 3);
    Floats padding;
    const Floats top = run(s, x, w, has_bias ? bias.data() : nullptr, relu, &padding);
    size_t at = 0;
    for (int n = 0; n < s.images; ++n) {
      for (int k = 0; k < s.outputs; ++k) {
        for (int i = 0; i < s.pixels; ++i, ++at) {
          double sum = has_bias ? bias[k] : 0;
          for (int c = 0; c < s.channels; ++c) {
            sum += double(x[(size_t(n) * s.channels + c) * s.pixels + i]) * w[k * s.channels + c];
          }
          if (relu.is_there && sum < 0) sum *= relu.slope;
          ASSERT_NEAR(top[at], sum, 2e-6 * s.channels) << "output " << k << ", pixel " << i;
        }
      }
    }
    for (const float value : padding) ASSERT_EQ(value, 0);
  }
};

TEST_P(Pointwise, ComputesEveryShape) {
  // Full and partly filled blocks, one panel and several with a last one of one block, one run of
  // pixels and several, more channels than are added up at once.
  for (const int channels : {1, 16, 24, 80, 130}) {
    for (const int outputs : {1, 16, 40, 64, 100}) {
      for (const int pixels : {1, 5, 14, 49}) {
        expect_right({1, channels, pixels, outputs}, true, kNone);
      }
    }
  }
  expect_right({3, 48, 30, 72}, true, kRelu);
  expect_right({3, 48, 30, 72}, true, {true, 0.25f});
  expect_right({2, 33, 17, 20}, false, kRelu);
  expect_right({2, 33, 17, 20}, false, {true, -2});
  expect_right({2, 33, 17, 20}, false, kNone);
}

/// The weights of more than one task.
TEST_P(Pointwise, ComputesManyOutputs) {
  expect_right({1, 512, 40, 300}, true, kRelu);
  expect_right({2, 1030, 9, 130}, true, kNone);
}

TEST_P(Pointwise, GivesTheSameBitsForAnyNumberOfThreads) {
  const Shape s = {2, 96, 170, 84};  // enough for threads
  const Floats x = random_values(size_t(s.images) * s.channels * s.pixels, 1);
  const Floats w = random_values(size_t(s.outputs) * s.channels, 2);
  omp_set_num_threads(1);
  const Floats one = run(s, x, w, nullptr, kRelu);
  for (const int threads : {2, 3, 8}) {
    omp_set_num_threads(threads);
    EXPECT_EQ(run(s, x, w, nullptr, kRelu), one) << threads << " threads";
  }
}

/// As in Caffe's layers, and the values that pad a block stay 0.
TEST_P(Pointwise, HidesNoNan) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const Shape s = {1, 2, 3, 1};
  const Floats w = {1, 1};
  for (const float value : {nan, inf, -inf}) {
    Floats padding;
    const Floats top = run(s, {1, value, -1, 1, 1, 0}, w, nullptr, kRelu, &padding);
    EXPECT_EQ(top[0], 2);
    EXPECT_EQ(top[2], 0);
    EXPECT_FALSE(std::signbit(top[2]));
    if (value == inf) {
      EXPECT_EQ(top[1], inf);
    } else {
      EXPECT_TRUE(std::isnan(top[1]));  // max(-inf, 0) + 0 min(-inf, 0)
    }
    for (const float each : padding) EXPECT_EQ(each, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Pointwise, kIsas, isa_name);

}  // namespace
}  // namespace caffe
