// Numbers of 16 bits (kernels/half.hpp): conversions against a definition of their own.

#include "kernels/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "fixtures.hpp"

namespace maap {
namespace {

struct Kind {
  int digits;     // behind the point
  int least;      // the exponent of the smallest normal number
  double finite;  // the largest finite number
};
const Kind kFloat16 = {10, -14, 65504.};
const Kind kBfloat16 = {7, -126, 255. * std::ldexp(1., 120)};

/// The nearest number of a kind, ties to even, computed in double.
double nearest(double value, const Kind& kind) {
  if (value == 0 || std::isnan(value) || std::isinf(value)) return value;
  const int exponent = std::max(std::ilogb(value), kind.least);
  const double step = std::ldexp(1., exponent - kind.digits);
  const double rounded = std::nearbyint(value / step) * step;
  return std::abs(rounded) > kind.finite ? std::copysign(INFINITY, value) : rounded;
}

template <typename T>
void expect_nearest(float value, const Kind& kind) {
  const double expected = nearest(value, kind);
  const float found = T(value);
  if (std::isnan(value)) {
    ASSERT_TRUE(std::isnan(found));
    return;
  }
  ASSERT_EQ(found, expected) << value;
  ASSERT_EQ(std::signbit(found), std::signbit(expected)) << value;
}

template <typename T>
void expect_all(const Kind& kind) {
  for (int bits = 0; bits < 65536; ++bits) {  // each number, and what is around it
    T number;
    number.bits = static_cast<uint16_t>(bits);
    const float value = number;
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(float(T(value))));
      continue;
    }
    ASSERT_EQ(T(value).bits, number.bits);
    T next;
    next.bits = static_cast<uint16_t>(bits + 1);
    if (!std::isfinite(value) || !std::isfinite(float(next)) || (bits & 0x7fff) == 0x7fff) continue;
    const float middle = static_cast<float>((double(value) + float(next)) / 2);
    expect_nearest<T>(middle, kind);
    expect_nearest<T>(std::nextafter(middle, INFINITY), kind);
    expect_nearest<T>(std::nextafter(middle, -INFINITY), kind);
  }
  std::mt19937 random(3);
  for (int i = 0; i < 200000; ++i) {  // any bits of a float
    const float value = internal::float_of(random());
    if (std::isfinite(value)) expect_nearest<T>(value, kind);
  }
  for (const double value : {kind.finite, kind.finite * 1.001, kind.finite * 2, 0., -0.}) {
    expect_nearest<T>(static_cast<float>(value), kind);
  }
  const float infinite = std::numeric_limits<float>::infinity();
  EXPECT_EQ(float(T(infinite)), infinite);
  EXPECT_EQ(float(T(-infinite)), -infinite);
  EXPECT_TRUE(std::isnan(float(T(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace

// The build for a GPU runs them too: what it stores is in these types.

TEST(HalfOnGpu, Float16IsTheNearestNumber) {
  expect_all<Float16>(kFloat16);
}

TEST(HalfOnGpu, Bfloat16IsTheNearestNumber) {
  expect_all<Bfloat16>(kBfloat16);
}

TEST(HalfOnGpu, IsComputedInFloat) {
  EXPECT_EQ(float(Float16(2049)), 2048);  // a tie, to even
  EXPECT_EQ(float(Float16(65519)), 65504);
  EXPECT_EQ(float(Float16(65520)), INFINITY);
  EXPECT_EQ(float(Float16(std::ldexp(1.f, -25))), 0);
  EXPECT_EQ(float(Float16(std::ldexp(1.1f, -25))), std::ldexp(1.f, -24));
  EXPECT_EQ(float(Bfloat16(257)), 256);
  EXPECT_TRUE((std::is_same<decltype(Float16(1) * Bfloat16(2)), float>::value));
  EXPECT_TRUE((std::is_same<Computed<Float16>, float>::value));
  EXPECT_TRUE((std::is_same<Computed<double>, double>::value));
}

}  // namespace maap
