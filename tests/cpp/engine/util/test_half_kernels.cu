// Conversions of numbers of 16 bits in kernels, where a GPU has instructions for them, against the
// host's (kernels/half.hpp, util/test_half.cpp).

#include <cmath>
#include <random>

#include "caffe/blob.hpp"
#include "caffe/util/parallel.hpp"
#include "fixtures.hpp"
#include "kernels/half.hpp"
#include "tests/cpp/devices.hpp"

namespace caffe {

namespace {

using maap::Bfloat16;
using maap::Float16;
using maap::internal::bits_of;
using maap::internal::float_of;

/// The bits of the float that number i is.
template <typename T>
struct ToFloat {
  int* bits;
  CAFFE_HD void operator()(int i) const {
    T number;
    number.bits = static_cast<uint16_t>(i);
    bits[i] = static_cast<int>(bits_of(number));
  }
};

/// The bits of the number that a float becomes.
template <typename T>
struct FromFloat {
  const int* floats;
  int* bits;
  CAFFE_HD void operator()(int i) const {
    bits[i] = T(float_of(static_cast<uint32_t>(floats[i]))).bits;
  }
};

/// A NaN may have any bits, but must stay one.
template <typename T>
bool is_nan(uint16_t bits) {
  T number;
  number.bits = bits;
  return std::isnan(static_cast<float>(number));
}

/// The bits of floats: each number, the middle between it and the next, and the floats on both
/// sides of these; what is too large or too small for a number; NaN; any bits.
template <typename T>
std::vector<uint32_t> floats_around_numbers() {
  std::vector<uint32_t> floats;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    T number, next;
    number.bits = static_cast<uint16_t>(bits);
    next.bits = static_cast<uint16_t>(bits + 1);
    const uint32_t low = bits_of(number), high = bits_of(next);
    const double sum = double(float_of(low)) + double(float_of(high));
    for (const uint32_t at : {low, bits_of(static_cast<float>(sum / 2))}) {
      for (const uint32_t around : {at - 1, at, at + 1}) floats.push_back(around);
    }
  }
  for (const uint32_t sign : {0u, 0x80000000u}) {
    for (const uint32_t size :
         {0u, 1u, 0x7fffffu, 0x800000u, 0x32ffffffu, 0x33000000u, 0x33000001u, 0x477fe000u,
          0x477fefffu, 0x477ff000u, 0x477ff001u, 0x7f7f7fffu, 0x7f7f8000u, 0x7f7fffffu, 0x7f800000u,
          0x7f800001u, 0x7f80ffffu, 0x7fc00000u, 0x7fffffffu}) {
      floats.push_back(sign | size);
    }
  }
  std::mt19937 random(5);
  for (int i = 0; i < 100000; ++i) floats.push_back(random());
  return floats;
}

template <typename T>
void expect_all_numbers_to_float(int expected_nans) {
  Blob<int> found({65536});
  parallel_for(found.count(), ToFloat<T>{found.mutable_active_data()});
  int nans = 0;
  for (int i = 0; i < found.count(); ++i) {
    const uint32_t bits = static_cast<uint32_t>(found.cpu_data()[i]);
    T number;
    number.bits = static_cast<uint16_t>(i);
    if (is_nan<T>(number.bits)) {
      ASSERT_TRUE(std::isnan(float_of(bits))) << i;
      ++nans;
    } else {
      ASSERT_EQ(bits, bits_of(number)) << i;
    }
  }
  EXPECT_EQ(nans, expected_nans);
}

template <typename T>
void expect_floats_to_numbers() {
  const std::vector<uint32_t> floats = floats_around_numbers<T>();
  const int count = static_cast<int>(floats.size());
  Blob<int> given({count}), found({count});
  std::copy(floats.begin(), floats.end(), given.mutable_cpu_data());
  parallel_for(count, FromFloat<T>{given.active_data(), found.mutable_active_data()});
  for (int i = 0; i < count; ++i) {
    const float value = float_of(floats[i]);
    const uint16_t bits = static_cast<uint16_t>(found.cpu_data()[i]);
    if (std::isnan(value)) {
      ASSERT_TRUE(is_nan<T>(bits)) << std::hex << floats[i];
    } else {
      ASSERT_EQ(bits, T(value).bits) << std::hex << floats[i];
    }
  }
}

}  // namespace

template <typename TypeParam>
class HalfKernelTest : public DeviceTest<TypeParam> {};
TYPED_TEST_SUITE(HalfKernelTest, DtypesAndDevices);

TYPED_TEST(HalfKernelTest, AllNumbersToFloat) {
  expect_all_numbers_to_float<Float16>(2 * 1023);
  expect_all_numbers_to_float<Bfloat16>(2 * 127);
}

TYPED_TEST(HalfKernelTest, FloatsToNumbers) {
  expect_floats_to_numbers<Float16>();
  expect_floats_to_numbers<Bfloat16>();
}

}  // namespace caffe
