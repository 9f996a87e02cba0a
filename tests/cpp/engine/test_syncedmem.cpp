#include "caffe/syncedmem.hpp"

#include <cstdint>
#include <cstring>
#include <limits>

#include "caffe/util/device.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(SyncedMemory, AllocatesNothingBeforeTheFirstAccess) {
  SyncedMemory memory(std::numeric_limits<size_t>::max() / 2);  // more than any machine has
  EXPECT_EQ(memory.head(), SyncedMemory::UNINITIALIZED);
  EXPECT_EQ(memory.size(), std::numeric_limits<size_t>::max() / 2);
}

TEST(SyncedMemory, TooMuchIsAnErrorThatCanBeSurvived) {
  SyncedMemory memory(std::numeric_limits<size_t>::max() / 2);
  EXPECT_ERROR(memory.cpu_data(), "cannot allocate");
  EXPECT_EQ(memory.head(), SyncedMemory::UNINITIALIZED);
}

TEST(SyncedMemory, StartsAsZerosOnTheCpu) {
  SyncedMemory memory(100);
  const char* bytes = static_cast<const char*>(memory.cpu_data());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(bytes[i], 0);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
}

TEST(SyncedMemory, IsAligned) {
  for (const size_t size : {0, 1, 63, 64, 65, 100003}) {
    SyncedMemory memory(size);
    const void* data = memory.cpu_data();
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % SyncedMemory::kAlignment, 0u) << size;
  }
}

TEST(SyncedMemory, KeepsWhatIsWritten) {
  SyncedMemory memory(10);
  std::memset(memory.mutable_cpu_data(), 7, 10);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  const char* bytes = static_cast<const char*>(memory.cpu_data());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(bytes[i], 7);
  EXPECT_EQ(memory.cpu_data(), memory.mutable_cpu_data());
}

TEST(SyncedMemory, UsesTheCallersMemoryAndLeavesItAlone) {
  char mine[10];
  std::memset(mine, 3, sizeof(mine));
  {
    SyncedMemory memory(10);
    std::memset(memory.mutable_cpu_data(), 7, 10);
    memory.set_cpu_data(mine);
    EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
    EXPECT_EQ(memory.cpu_data(), mine);
    static_cast<char*>(memory.mutable_cpu_data())[0] = 4;
  }
  EXPECT_EQ(mine[0], 4);
  EXPECT_EQ(mine[9], 3);
  SyncedMemory memory(10);
  EXPECT_ERROR(memory.set_cpu_data(nullptr), "null");
  EXPECT_ERROR(memory.set_gpu_data(nullptr), "null");
}

/// The whole table of states at the top of syncedmem.hpp.
TEST(SyncedMemory, MovesBetweenCpuAndGpu) {
  if (device::count() == 0) {
    SyncedMemory memory(10);
    std::memset(memory.mutable_cpu_data(), 7, 10);
    EXPECT_ERROR(memory.gpu_data(), "GPU");
    // The failure loses nothing.
    EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
    EXPECT_EQ(static_cast<const char*>(memory.cpu_data())[9], 7);
    return;
  }
  SyncedMemory memory(10);
  memory.gpu_data();
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_GPU);
  EXPECT_EQ(static_cast<const char*>(memory.cpu_data())[9], 0);
  EXPECT_EQ(memory.head(), SyncedMemory::SYNCED);
  std::memset(memory.mutable_cpu_data(), 7, 10);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  char copy[10] = {0};
  device::copy(copy, memory.gpu_data(), 10);
  EXPECT_EQ(copy[9], 7);
  EXPECT_EQ(memory.head(), SyncedMemory::SYNCED);
  device::fill_zero(memory.mutable_gpu_data(), 10);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_GPU);
  EXPECT_EQ(static_cast<const char*>(memory.mutable_cpu_data())[9], 0);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
}

}  // namespace caffe
