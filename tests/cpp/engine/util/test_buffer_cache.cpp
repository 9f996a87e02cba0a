#include "caffe/util/buffer_cache.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "caffe/syncedmem.hpp"
#include "fixtures.hpp"

namespace caffe {

namespace {

constexpr size_t kBytes = 100000, kRoom = 102400;  // whole pages

}  // namespace

TEST(BufferCache, GivesTheLastBufferAgain) {
  const auto cache = std::make_shared<BufferCache>();
  auto one = cache->take(kBytes), other = cache->take(kBytes);
  EXPECT_NE(one, other);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(one.get()) % 64, 0u);
  const void* const last = other.get();
  one.reset();
  other.reset();
  EXPECT_EQ(cache->idle(), 2 * kRoom);
  EXPECT_EQ(cache->take(kBytes - 5000).get(), last);
  EXPECT_EQ(cache->take(kBytes).get(), last);
  EXPECT_EQ(cache->take(2 * kBytes).get() == last, false);
}

TEST(BufferCache, SmallBuffersAreNotKept) {
  const auto cache = std::make_shared<BufferCache>();
  cache->take(100);
  cache->take(0);
  EXPECT_EQ(cache->idle(), 0u);
}

TEST(BufferCache, FreesWhatIsNotUsed) {
  const auto cache = std::make_shared<BufferCache>();
  cache->take(kBytes);
  for (int pass = 0; pass < 8; ++pass) {
    cache->end_pass();
    EXPECT_EQ(cache->idle(), kRoom);
  }
  cache->end_pass();
  EXPECT_EQ(cache->idle(), 0u);
  cache->take(kBytes);
  cache->clear();
  EXPECT_EQ(cache->idle(), 0u);
}

TEST(BufferCache, OldSizesDoNotPileUp) {
  const auto cache = std::make_shared<BufferCache>();
  const size_t most = size_t{64} << 20;
  size_t largest = 0;
  for (size_t bytes = most / 4; bytes < most; bytes += bytes / 4) {
    cache->take(bytes);
    cache->end_pass();
    largest = bytes;
  }
  EXPECT_LE(cache->idle(), 2 * largest + most + 4096);
}

TEST(BufferCache, ABufferMayOutliveIt) {
  auto cache = std::make_shared<BufferCache>();
  const auto buffer = cache->take(kBytes);
  cache.reset();
  static_cast<char*>(buffer.get())[kBytes - 1] = 1;
}

TEST(BufferCache, AScopeIsOfOneThread) {
  const auto cache = std::make_shared<BufferCache>();
  {
    const BufferCache::Scope scope(cache.get());
    std::thread([] { host_buffer(kBytes); }).join();
    EXPECT_EQ(cache->idle(), 0u);
    host_buffer(kBytes);
  }
  EXPECT_EQ(cache->idle(), kRoom);
  host_buffer(kBytes);
  EXPECT_EQ(cache->idle(), kRoom);
}

TEST(BufferCache, IsSharedWhileSomebodyHoldsIt) {
  const auto one = BufferCache::common();
  EXPECT_EQ(one, BufferCache::common());
}

TEST(GivenUp, ABlockIsAnErrorToReadUntilItIsWritten) {
  SyncedMemory block(kBytes);
  block.give_up();  // has none
  EXPECT_FALSE(block.is_given_up());
  static_cast<char*>(block.mutable_cpu_data())[0] = 1;
  block.give_up();
  EXPECT_TRUE(block.is_given_up());
  EXPECT_ERROR(block.cpu_data(), "these values were given up");
  EXPECT_ERROR(block.share_cpu_data(), "these values were given up");
  static_cast<char*>(block.mutable_cpu_data())[0] = 2;
  EXPECT_FALSE(block.is_given_up());
  EXPECT_EQ(static_cast<const char*>(block.cpu_data())[0], 2);
}

TEST(GivenUp, MemoryOfOthersStays) {
  char given[64] = {3};
  SyncedMemory block(64);
  block.set_cpu_data(given);
  block.give_up();
  EXPECT_EQ(block.cpu_data(), given);
  SyncedMemory held(64);
  const std::shared_ptr<void> holder = held.share_cpu_data();
  held.give_up();
  EXPECT_EQ(held.cpu_data(), holder.get());
}

}  // namespace caffe
