#include "caffe/syncedmem.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "caffe/blob.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/reorder_count.hpp"
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

TEST(SyncedMemory, HeldMemoryOutlivesTheBlockAndItsReplacement) {
  shared_ptr<void> held;
  char mine[10] = {};
  {
    SyncedMemory memory(10);
    held = memory.share_cpu_data();
    EXPECT_EQ(held.get(), memory.cpu_data());
    std::memset(memory.mutable_cpu_data(), 7, 10);
    memory.set_cpu_data(mine);
    EXPECT_EQ(memory.share_cpu_data().get(), mine);
  }
  EXPECT_EQ(static_cast<char*>(held.get())[9], 7);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(SyncedMemory, HoldsMemoryThatItIsGivenToHold) {
  const auto given = std::make_shared<int>(5);
  {
    SyncedMemory memory(sizeof(int));
    memory.set_cpu_data(shared_ptr<void>(given));
    EXPECT_EQ(given.use_count(), 2);
    EXPECT_EQ(memory.cpu_data(), given.get());
    EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  }
  EXPECT_EQ(given.use_count(), 1);
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

namespace {

/// Bytes back to front.
struct Backwards : ForeignCopy {
  explicit Backwards(const std::string& values) : bytes(values.rbegin(), values.rend()) {}
  void copy_to(void* plain) const override {
    std::copy(bytes.rbegin(), bytes.rend(), static_cast<char*>(plain));
  }
  std::string bytes;
};

std::string plain(SyncedMemory* memory) {
  return std::string(static_cast<const char*>(memory->cpu_data()), memory->size());
}

}  // namespace

/// The statements about the foreign copy at the top of syncedmem.hpp.
TEST(SyncedMemory, ConvertsAForeignCopyOnceWhenPlainDataIsAskedFor) {
  SyncedMemory memory(3);
  EXPECT_EQ(memory.foreign(), nullptr);
  EXPECT_FALSE(memory.foreign_is_current());
  memory.foreign_written(std::make_shared<Backwards>("abc"));
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_FOREIGN);
  EXPECT_TRUE(memory.foreign_is_current());

  const int64_t before = reorder_count();
  EXPECT_EQ(plain(&memory), "abc");
  EXPECT_EQ(plain(&memory), "abc");
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  EXPECT_TRUE(memory.foreign_is_current()) << "reading makes nothing stale";

  static_cast<char*>(memory.mutable_cpu_data())[1] = 'x';
  EXPECT_FALSE(memory.foreign_is_current());
  EXPECT_NE(memory.foreign(), nullptr) << "kept, to be filled again";
  EXPECT_EQ(plain(&memory), "axc");

  const void* const address = memory.cpu_data();
  memory.foreign_written(std::make_shared<Backwards>("def"));
  EXPECT_EQ(plain(&memory), "def");
  EXPECT_EQ(memory.cpu_data(), address) << "pointers stay valid";
  EXPECT_EQ(reorder_count() - before, 2);
}

TEST(SyncedMemory, WritingStartsFromTheForeignCopy) {
  SyncedMemory memory(5);
  memory.foreign_written(std::make_shared<Backwards>("abc"));  // shorter than the block
  static_cast<char*>(memory.mutable_cpu_data())[0] = 'x';
  EXPECT_EQ(plain(&memory), std::string("xbc\0\0", 5));
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  EXPECT_FALSE(memory.foreign_is_current());
  char mine[5] = {'m'};
  memory.foreign_written(std::make_shared<Backwards>("abcde"));
  memory.set_cpu_data(mine);
  EXPECT_FALSE(memory.foreign_is_current());
  EXPECT_EQ(plain(&memory), std::string("m\0\0\0\0", 5));
}

TEST(SyncedMemory, HeldMemoryStaysCurrentAndMayBeWrittenAtAnyTime) {
  SyncedMemory memory(3);
  shared_ptr<void> held = memory.share_cpu_data();
  char* const view = static_cast<char*>(held.get());
  memory.foreign_written(std::make_shared<Backwards>("abc"));
  EXPECT_EQ(std::string(view, 3), "abc");
  EXPECT_FALSE(memory.foreign_is_current());
  view[0] = 'x';
  held.reset();
  EXPECT_FALSE(memory.foreign_is_current()) << "it was written behind the block's back";
  EXPECT_EQ(std::string(static_cast<const char*>(memory.cpu_data()), 3), "xbc");
  memory.foreign_written(std::make_shared<Backwards>("def"));
  EXPECT_TRUE(memory.foreign_is_current());
}

TEST(SyncedMemory, RefusesANullForeignCopy) {
  SyncedMemory memory(3);
  EXPECT_ERROR(memory.foreign_written(nullptr), "null");
  EXPECT_EQ(memory.head(), SyncedMemory::UNINITIALIZED);
}

TEST(SyncedMemory, TheGpuGetsAForeignCopyThroughTheCpu) {
  SyncedMemory memory(3);
  memory.foreign_written(std::make_shared<Backwards>("abc"));
  if (device::count() == 0) {
    EXPECT_ERROR(memory.gpu_data(), "GPU");
    EXPECT_EQ(plain(&memory), "abc");
    return;
  }
  char copy[3];
  device::copy(copy, memory.gpu_data(), 3);
  EXPECT_EQ(std::string(copy, 3), "abc");
  EXPECT_EQ(memory.head(), SyncedMemory::SYNCED);
  EXPECT_TRUE(memory.foreign_is_current());
  memory.mutable_gpu_data();
  EXPECT_FALSE(memory.foreign_is_current());
}

TEST(SyncedMemory, HostMemoryByCaffesNames) {
  void* memory = nullptr;
  bool pinned = true;
  CaffeMallocHost(&memory, 0, &pinned);
  EXPECT_NE(memory, nullptr);
  EXPECT_FALSE(pinned);
  CaffeFreeHost(memory, pinned);
  EXPECT_ERROR(CaffeMallocHost(&memory, std::numeric_limits<size_t>::max() / 2, &pinned),
               "cannot allocate");
}

TEST(SyncedMemory, APushCopiesToTheGpu) {
  SyncedMemory memory(100);
  memory.mutable_cpu_data();
  if (device::count() == 0) {
    EXPECT_ERROR(memory.async_gpu_push(nullptr), "GPU");
    EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  } else {
    memory.async_gpu_push(nullptr);
    EXPECT_EQ(memory.head(), SyncedMemory::SYNCED);
  }
}

TEST(SyncedMemory, ATwinIsForgottenWhenTheValuesChange) {
  SyncedMemory memory(4);
  const auto twin = std::make_shared<SyncedMemory>(4);
  EXPECT_EQ(memory.twin(), nullptr);
  char mine[4] = {};
  const std::function<void()> changes[] = {
      [&] { memory.mutable_cpu_data(); }, [&] { memory.set_cpu_data(mine); },
      [&] { memory.foreign_written(std::make_shared<Backwards>("abcd")); },
      [&] { memory.share_cpu_data(); }};
  for (const auto& change : changes) {
    memory.set_twin(twin);
    memory.cpu_data();
    EXPECT_EQ(memory.twin(), twin) << "reading changes nothing";
    change();
    EXPECT_EQ(memory.twin(), nullptr);
  }
}

TEST(SyncedMemory, ItsGpuMemoryCanMoveWithItsValues) {
  if (device::count() == 0) GTEST_SKIP() << "no GPU";
  const std::shared_ptr<void> all(device::allocate(512), device::release);
  SyncedMemory fresh(100), on_gpu(100), on_cpu(100), given(100), held(100);
  static_cast<char*>(on_gpu.mutable_cpu_data())[3] = 5;
  on_gpu.mutable_gpu_data();
  static_cast<char*>(on_cpu.mutable_cpu_data())[3] = 6;
  char* const place = static_cast<char*>(all.get());
  int parts = 0;
  for (SyncedMemory* memory : {&fresh, &on_gpu, &on_cpu}) {
    const SyncedMemory::SyncedHead before = memory->head();
    const std::shared_ptr<void> part(all, place + 128 * parts++);
    EXPECT_TRUE(memory->move_on_gpu(part));
    EXPECT_EQ(memory->head(), before);
    EXPECT_EQ(memory->mutable_gpu_data(), part.get());
    EXPECT_EQ(memory->gpu_memory(), part.get());
    EXPECT_FALSE(memory->move_on_gpu(all));  // it has moved already
  }
  EXPECT_EQ(static_cast<const char*>(fresh.cpu_data())[3], 0);
  EXPECT_EQ(static_cast<const char*>(on_gpu.cpu_data())[3], 5);
  EXPECT_EQ(static_cast<const char*>(on_cpu.cpu_data())[3], 6);
  given.set_gpu_data(all.get());
  EXPECT_FALSE(given.move_on_gpu(all));
  const std::shared_ptr<void> holder = held.share_gpu_data();
  EXPECT_FALSE(held.move_on_gpu(all));
}

TEST(SyncedMemory, TakesACopyOfTheGpusValues) {
  if (device::count() == 0) GTEST_SKIP() << "no GPU";
  SyncedMemory memory(4);
  memory.mutable_cpu_data();
  memory.cpu_copy_is("old");  // the CPU's values count
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  memory.mutable_gpu_data();
  memory.cpu_copy_is("new");
  EXPECT_EQ(memory.head(), SyncedMemory::SYNCED);
  EXPECT_STREQ(static_cast<const char*>(memory.cpu_data()), "new");
}

TEST(SyncedMemory, BlobsThatShareSeeOneForeignCopy) {
  Blob<float> one({1, 3}), other({3, 1});
  other.ShareData(one);
  one.data()->foreign_written(std::make_shared<Backwards>(std::string(12, '\0')));
  EXPECT_TRUE(other.data()->foreign_is_current());
  EXPECT_EQ(other.cpu_data()[2], 0.f);
  other.mutable_cpu_data()[2] = 5;
  EXPECT_FALSE(one.data()->foreign_is_current());
  EXPECT_EQ(one.cpu_data()[2], 5.f);
}

}  // namespace caffe
