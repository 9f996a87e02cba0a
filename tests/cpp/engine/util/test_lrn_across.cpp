#include "caffe/util/lrn_across.hpp"

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
namespace lrn_across {
namespace {

size_t count_of(const Images& images) {
  return size_t(images.images) * images.channels * images.pixels;
}

int padded(const Images& images) {
  const int whole = std::max(1, images.block);
  return (images.channels + whole - 1) / whole * whole;
}

/// Where a plain value is in the layout of the images.
size_t place(const Images& images, size_t plain) {
  if (images.block == 0) return plain;
  const size_t pixel = plain % images.pixels, c = plain / images.pixels % images.channels;
  const size_t n = plain / images.pixels / images.channels, block = images.block;
  return ((n * (padded(images) / block) + c / block) * images.pixels + pixel) * block + c % block;
}

/// Plain values in the layout of the images, with padding of 0.
Floats laid_out(const Images& images, const Floats& plain) {
  Floats result(size_t(images.images) * padded(images) * images.pixels);
  for (size_t i = 0; i < plain.size(); ++i) result[place(images, i)] = plain[i];
  return result;
}

/// The reverse; checks that the padding is 0.
Floats plain_of(const Images& images, Floats values) {
  Floats result(count_of(images));
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = values[place(images, i)];
    values[place(images, i)] = 0;
  }
  for (const float padding : values) EXPECT_EQ(padding, 0) << "padding";
  return result;
}

struct Results {
  Floats y, dx;
};

/// `x` and `dy` are plain, and so are the results.
Results run(const Images& images, const Window& window, const Floats& x, const Floats& dy, Isa isa,
            bool relu = false) {
  const Floats from = laid_out(images, x), gradient = laid_out(images, dy);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Floats y(from.size(), nan), dx(from.size(), nan);
  forward(images, window, from.data(), y.data(), isa);
  backward(images, window, from.data(), gradient.data(), relu, dx.data(), isa);
  return {plain_of(images, y), plain_of(images, dx)};
}

/// The same in double precision. `size_of_dx` are the sums of the magnitudes of what is added.
struct Reference {
  std::vector<double> y, dx, size_of_dx;

  Reference(const Images& images, const Window& window, const Floats& x, const Floats& dy)
      : y(x.size()), dx(x.size()), size_of_dx(x.size()) {
    std::vector<double> s(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      s[i] = window.k;
      around(images, window, i,
             [&](size_t at) { s[i] += double(window.alpha) / window.size * x[at] * x[at]; });
      y[i] = x[i] * std::pow(s[i], -double(window.beta));
    }
    const double factor = 2. * window.beta * window.alpha / window.size;
    for (size_t i = 0; i < x.size(); ++i) {
      const double own = dy[i] * std::pow(s[i], -double(window.beta));
      double sum = 0, size = 0;
      around(images, window, i, [&](size_t at) {
        const double ratio = dy[at] * y[at] / s[at];
        sum += ratio;
        size += std::abs(ratio);
      });
      dx[i] = own - factor * x[i] * sum;
      size_of_dx[i] = std::abs(own) + std::abs(factor * x[i]) * size;
    }
  }

  template <typename F>
  static void around(const Images& images, const Window& window, size_t i, const F& f) {
    const int c = static_cast<int>(i / images.pixels % images.channels);
    const int first = std::max(0, c - window.size / 2);
    const int last = std::min(images.channels - 1, c + window.size / 2);
    for (int d = first; d <= last; ++d) f(i + (d - c) * images.pixels);
  }
};

class LrnAcross : public IsaTest {
 protected:
  static void compare(const Images& images, const Window& window) {
    SCOPED_TRACE(testing::Message()
                 << images.channels << " channels, " << images.pixels << " pixels, block "
                 << images.block << ", size " << window.size << ", beta " << window.beta);
    const Floats x = random_values(count_of(images), 1, 2);
    const Floats dy = random_values(count_of(images), 2, 1);
    const Reference expected(images, window, x, dy);
    const Results found = run(images, window, x, dy, GetParam());
    const double tolerance = window.size > 9 ? 2e-6 : 1e-6;  // long sums are less exact in float
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(found.y[i], expected.y[i], tolerance * std::abs(expected.y[i])) << "y, " << i;
      ASSERT_NEAR(found.dx[i], expected.dx[i], tolerance * expected.size_of_dx[i]) << "dx, " << i;
    }
    const Results plain = run(images, window, x, dy, Isa::kPlain);
    EXPECT_EQ(found.y, plain.y) << "of any instructions";
    EXPECT_EQ(found.dx, plain.dx) << "of any instructions";
  }
};

TEST_P(LrnAcross, AgreesWithDoublePrecision) {
  for (const int block : {0, 8, 16}) {
    for (const int channels : {1, 3, 16, 20, 96, 257}) {
      for (const int size : {1, 3, 5, 7, 15, 41})
        compare({2, channels, 30, block}, {size, 1, 0.75f, 1});
      for (const float beta : {0.5f, 1.f, 1.25f, -0.3f})
        compare({2, channels, 9, block}, {5, 2, beta, 2});
    }
    for (const int pixels : {1, 15, 16, 17, 135, 1000}) {
      compare({2, 20, pixels, block}, {5, 1e-4f, 0.75f, 1});
      compare({1, 20, pixels, block}, {3, 0.5f, 0.75f, 0.1f});
    }
  }
}

TEST_P(LrnAcross, IsTheSameForAnyNumberOfThreads) {
  for (const int block : {0, 8, 16}) {
    const Images images = {3, 40, 700, block};
    const Window window = {5, 1, 0.75f, 1};
    const Floats x = random_values(count_of(images), 1, 2);
    const Floats dy = random_values(count_of(images), 2, 1);
    omp_set_num_threads(1);
    const Results one = run(images, window, x, dy, GetParam());
    for (const int threads : {2, 3, 16}) {
      omp_set_num_threads(threads);
      const Results found = run(images, window, x, dy, GetParam());
      EXPECT_EQ(found.y, one.y) << threads;
      EXPECT_EQ(found.dx, one.dx) << threads;
    }
  }
}

TEST_P(LrnAcross, GradientThroughARelu) {
  for (const int block : {0, 8, 16}) {
    const Images images = {2, 20, 35, block};
    const Window window = {5, 1, 0.75f, 1};
    Floats x = random_values(count_of(images), 1, 2);
    for (float& value : x) value = std::max(0.f, value);
    const Floats dy = random_values(count_of(images), 2, 1);
    Floats expected = run(images, window, x, dy, GetParam()).dx;
    for (size_t i = 0; i < x.size(); ++i) expected[i] = x[i] > 0 ? expected[i] : 0;
    EXPECT_EQ(run(images, window, x, dy, GetParam(), true).dx, expected);
  }
}

/// With k = 0, s is 0 in padding behind channels of 0, and its power is infinite.
TEST_P(LrnAcross, PaddingStaysZero) {
  for (const int block : {8, 16}) {
    const Images images = {2, 19, 10, block};
    Floats x = random_values(count_of(images), 1, 1);
    const Floats dy = random_values(count_of(images), 2, 1);
    for (size_t i = 0; i < x.size(); ++i) {
      if (i / images.pixels % images.channels > 16) x[i] = 0;
    }
    for (const float beta : {0.75f, 0.5f}) {
      const Results found = run(images, {5, 1, beta, 0}, x, dy, GetParam());
      // The last channel's window reaches channel 16, whose window reaches nothing that is padded.
      for (int pixel = 0; pixel < images.pixels; ++pixel) {
        EXPECT_TRUE(std::isfinite(found.y[size_t(18) * images.pixels + pixel]));
        EXPECT_TRUE(std::isfinite(found.dx[size_t(18) * images.pixels + pixel]));
      }
    }
  }
}

/// As of the formula: 0 where s is infinite, not a number only where an infinity meets a 0.
TEST_P(LrnAcross, ValuesWhoseSquareIsInfinite) {
  for (const int block : {0, 8, 16}) {
    const Images images = {1, 16, 20, block};
    const Floats x(count_of(images), 1e25f), dy(count_of(images), 1);
    for (const float beta : {0.75f, 1.25f}) {
      const Results found = run(images, {5, 1, beta, 1}, x, dy, GetParam());
      EXPECT_EQ(found.y, Floats(x.size(), 0.f));
      EXPECT_EQ(found.dx, Floats(x.size(), 0.f));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, LrnAcross, kIsas, isa_name);

}  // namespace
}  // namespace lrn_across
}  // namespace caffe
