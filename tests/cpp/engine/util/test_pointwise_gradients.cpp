#include "caffe/util/pointwise_gradients.hpp"

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
namespace pointwise {
namespace {

/// Plain values, or their sums in double precision. Without a stride of 1, no gradient of the
/// bottom.
template <typename T>
struct Results {
  std::vector<T> bottom_gradient, weights_gradient, bias_gradient;
  bool operator==(const Results& other) const {
    return bottom_gradient == other.bottom_gradient && weights_gradient == other.weights_gradient &&
           bias_gradient == other.bias_gradient;
  }
};

struct Values {
  explicit Values(const Shape& s)
      : x(random_values(size_t(s.images) * s.channels * s.height * s.width, 1)),
        w(random_values(size_t(s.outputs) * s.channels, 2)),
        dy(random_values(size_t(s.images) * s.outputs * s.top_height() * s.top_width(), 3)) {}
  Floats x, w, dy;
};

Results<double> reference(const Shape& s, const Values& v) {
  typedef std::vector<double> Doubles;
  Results<double> r = {Doubles(s.stride == 1 ? v.x.size() : 0), Doubles(v.w.size()),
                       Doubles(s.outputs)};
  size_t at = 0;
  for (int n = 0; n < s.images; ++n) {
    for (int k = 0; k < s.outputs; ++k) {
      for (int y = 0; y < s.top_height(); ++y) {
        for (int i = 0; i < s.top_width(); ++i, ++at) {
          r.bias_gradient[k] += v.dy[at];
          for (int c = 0; c < s.channels; ++c) {
            const size_t in = ((size_t(n) * s.channels + c) * s.height + y * s.stride) * s.width +
                              size_t(i) * s.stride;
            const size_t weight = size_t(k) * s.channels + c;
            if (s.stride == 1) r.bottom_gradient[in] += double(v.dy[at]) * v.w[weight];
            r.weights_gradient[weight] += double(v.dy[at]) * v.x[in];
          }
        }
      }
    }
  }
  return r;
}

class PointwiseGradients : public IsaTest {
 protected:
  /// Weights and their gradients lie at addresses that no vector is aligned to.
  static Results<float> run(const Shape& s, Isa isa, const Values& v) {
    const Gradients convolution(s, isa);
    const int block = convolution.block(), pixels = s.height * s.width;
    const int top_pixels = s.top_height() * s.top_width();
    Aligned x(v.x.size()), dx(v.x.size()), dy(v.dy.size()), packed(v.w.size()),
        space(convolution.workspace()), w(v.w.size(), 0, 3), dw(v.w.size(), 0, 5),
        db(s.outputs, 0, 1);
    std::copy(v.w.begin(), v.w.end(), w.get());
    for_each_pair(s.images, s.channels, pixels, block,
                  [&](size_t i, size_t j) { x.get()[j] = v.x[i]; });
    for_each_pair(s.images, s.outputs, top_pixels, block,
                  [&](size_t i, size_t j) { dy.get()[j] = v.dy[i]; });
    convolution.backward_weights(x.get(), dy.get(), dw.get(), db.get(), space.get());
    Results<float> r = {
        {}, Floats(dw.get(), dw.get() + v.w.size()), Floats(db.get(), db.get() + s.outputs)};
    if (s.stride > 1) return r;
    convolution.backward_data(dy.get(), w.get(), dx.get(), packed.get());
    r.bottom_gradient.resize(v.x.size());
    for_each_pair(s.images, s.channels, pixels, block,
                  [&](size_t i, size_t j) { r.bottom_gradient[i] = dx.get()[j]; });
    return r;
  }

  static void expect_near(const Floats& found, const std::vector<double>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    double largest = 0, worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      worst = std::max(worst, std::abs(found[i] - expected[i]));
    }
    EXPECT_LE(worst, 2e-6 * largest);
  }
};

const Shape kShapes[] = {
    {1, 16, 1, 1, 16, 1},   {3, 48, 7, 7, 80, 1},     {2, 144, 14, 13, 32, 1},
    {1, 32, 29, 31, 48, 1}, {2, 1024, 5, 28, 160, 1}, {2, 32, 14, 14, 64, 2},
    {1, 48, 7, 10, 16, 2},  {3, 16, 11, 8, 112, 3},   {1, 16, 2, 2, 16, 5},
};

TEST_P(PointwiseGradients, EqualsTheSumsInDoublePrecision) {
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(testing::Message() << s.channels << " -> " << s.outputs << ", " << s.height << "x"
                                    << s.width << " / " << s.stride);
    const Values v(s);
    const Results<float> found = run(s, GetParam(), v);
    const Results<double> expected = reference(s, v);
    expect_near(found.bottom_gradient, expected.bottom_gradient);
    expect_near(found.weights_gradient, expected.weights_gradient);
    expect_near(found.bias_gradient, expected.bias_gradient);
  }
}

TEST_P(PointwiseGradients, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Shape& s : {kShapes[1], kShapes[3], kShapes[4], kShapes[7]}) {
    const Values v(s);
    omp_set_num_threads(1);
    const Results<float> one = run(s, GetParam(), v);
    for (const int threads : {2, 3, 8}) {
      omp_set_num_threads(threads);
      EXPECT_TRUE(run(s, GetParam(), v) == one) << threads << " threads";
    }
  }
}

TEST_P(PointwiseGradients, AddsToGradients) {
  const Shape s = kShapes[1];
  const Values v(s);
  const Gradients convolution(s, GetParam());
  Aligned x(v.x.size(), 0), dy(v.dy.size(), 0), space(convolution.workspace());
  Floats dw(v.w.size(), 3), db(s.outputs, 4);
  convolution.backward_weights(x.get(), dy.get(), dw.data(), nullptr, space.get());
  EXPECT_EQ(dw, Floats(v.w.size(), 3));
  convolution.backward_weights(x.get(), dy.get(), nullptr, db.data(), space.get());
  EXPECT_EQ(db, Floats(s.outputs, 4));
}

TEST_P(PointwiseGradients, SupportsFullBlocksOnly) {
  const int block = Gradients({1, 16, 1, 1, 16, 1}, GetParam()).block();
  EXPECT_TRUE(Gradients::supports({1, block, 3, 3, 2 * block, 1}, GetParam()));
  EXPECT_FALSE(Gradients::supports({1, block + 1, 3, 3, block, 1}, GetParam()));
  EXPECT_FALSE(Gradients::supports({1, block, 3, 3, block + 2, 1}, GetParam()));
  EXPECT_FALSE(Gradients::supports({0, block, 3, 3, block, 1}, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Isas, PointwiseGradients, kIsas, isa_name);

}  // namespace
}  // namespace pointwise
}  // namespace caffe
