#include "caffe/util/device.hpp"

#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(Device, ImpossibleNumbersAreErrors) {
  EXPECT_FALSE(device::usable(-1));
  EXPECT_FALSE(device::usable(device::count()));
  EXPECT_ERROR(device::select(-1), "GPU");
  EXPECT_ERROR(device::select(device::count()), "GPU");
}

TEST(Device, WithoutOneEverythingThrows) {
  if (device::count() > 0) GTEST_SKIP() << "there is a GPU";
  char bytes[4] = {1, 2, 3, 4};
  EXPECT_THROW(device::allocate(4), Error);
  EXPECT_THROW(device::fill_zero(bytes, 4), Error);
  EXPECT_THROW(device::properties(0), Error);
  EXPECT_EQ(bytes[3], 4);
}

/// A net can be made, filled and saved while the mode is GPU, as with a Caffe built for the CPU
/// only.
TEST(Device, WithoutCudaPinnedMemoryIsOrdinaryMemory) {
  if (device::count() > 0) GTEST_SKIP() << "there is a GPU";
  if (device::why_unusable(0).find("built without CUDA") == std::string::npos) {
    EXPECT_THROW(device::allocate_pinned(100), Error);  // with CUDA it is the driver's
    return;
  }
  void* const pinned = device::allocate_pinned(100);
  ASSERT_NE(pinned, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pinned) % 64, 0u);
  std::memset(pinned, 7, 100);
  device::release_pinned(pinned);
  EXPECT_ERROR(device::allocate_pinned(std::numeric_limits<size_t>::max() / 2), "cannot allocate");
}

TEST(Device, CopiesInEveryDirection) {
  if (device::count() == 0) GTEST_SKIP() << "no GPU";
  device::select(0);
  EXPECT_EQ(device::current(), 0);
  EXPECT_NE(device::properties(0).find("Warp size:                     32"), std::string::npos);
  EXPECT_TRUE(device::usable(0));
  char out[100], back[100];
  std::memset(out, 7, sizeof(out));
  void* first = device::allocate(100);
  void* second = device::allocate(100);
  void* pinned = device::allocate_pinned(100);
  device::copy(first, out, 100);
  device::copy(second, first, 100);
  device::copy(pinned, second, 100);
  device::copy(back, pinned, 100);
  EXPECT_EQ(std::memcmp(out, back, 100), 0);
  device::fill_zero(first, 100);
  device::copy(back, first, 100);
  EXPECT_EQ(back[99], 0);
  device::release(first);
  device::release(second);
  device::release_pinned(pinned);
}

TEST(Device, TooMuchMemoryIsAnErrorThatCanBeSurvived) {
  if (device::count() == 0) GTEST_SKIP() << "no GPU";
  EXPECT_ERROR(device::allocate(size_t(1) << 50), "smaller batch_size");
  device::release(device::allocate(100));
}

}  // namespace caffe
