// What the shadow device counts.

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "shadow_test.hpp"

namespace {

typedef ShadowTest ShadowCounts;
typedef ShadowTest ShadowCountsDeathTest;

TEST_F(ShadowCounts, CopiesByDirection) {
  const OnDevice<int> one(std::vector<int>(10, 1)), other(10);
  shadow::reset_counts();
  std::vector<int> values(10);
  cudaMemcpy(one.get(), values.data(), 12, cudaMemcpyDefault);
  cudaMemcpyAsync(one.get(), values.data(), 8, cudaMemcpyDefault);
  cudaMemcpy(other.get(), one.get(), 40, cudaMemcpyDefault);
  cudaMemcpy(values.data(), one.get(), 16, cudaMemcpyDefault);
  cudaMemcpy(values.data(), one.get(), 4, cudaMemcpyDefault);
  cudaMemset(one.get(), 0, 4);
  const shadow::Counts counts = shadow::counts();
  EXPECT_EQ(2, counts.copies_to_device);
  EXPECT_EQ(20, counts.bytes_to_device);
  EXPECT_EQ(1, counts.copies_on_device);
  EXPECT_EQ(40, counts.bytes_on_device);
  EXPECT_EQ(2, counts.copies_to_host);
  EXPECT_EQ(20, counts.bytes_to_host);
  EXPECT_EQ(16, counts.largest_to_host);
  EXPECT_EQ(1, counts.fills);
}

int64_t synchronisations_of(const std::function<void()>& call) {
  const int64_t before = shadow::counts().synchronisations;
  call();
  return shadow::counts().synchronisations - before;
}

TEST_F(ShadowCounts, WaitsOfTheHost) {
  const OnDevice<char> memory(100000);
  char* pinned = nullptr;
  cudaMallocHost(&pinned, 100000);
  std::vector<char> pageable(100000);
  void* const device = memory.get();
  EXPECT_EQ(1, synchronisations_of([] { cudaDeviceSynchronize(); }));
  EXPECT_EQ(1, synchronisations_of([] { cudaStreamSynchronize(nullptr); }));
  const auto copy = [](void* to, const void* from, size_t bytes) {
    return synchronisations_of([=] { cudaMemcpy(to, from, bytes, cudaMemcpyDefault); });
  };
  const auto copy_async = [](void* to, const void* from, size_t bytes) {
    return synchronisations_of([=] { cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault); });
  };
  EXPECT_EQ(1, copy(device, pageable.data(), 8));
  EXPECT_EQ(1, copy(device, pinned, 8));
  EXPECT_EQ(1, copy(pinned, device, 8));
  EXPECT_EQ(1, copy_async(pageable.data(), device, 8));
  EXPECT_EQ(1, copy_async(device, pageable.data(), 100000));  // more than the driver keeps
  EXPECT_EQ(0, copy_async(device, pageable.data(), 8));
  EXPECT_EQ(0, copy_async(device, pinned, 100000));
  EXPECT_EQ(0, copy_async(pinned, device, 100000));
  EXPECT_EQ(0, copy(device, static_cast<char*>(device) + 16, 8));
  EXPECT_EQ(0, synchronisations_of([=] { cudaMemset(device, 0, 8); }));
  EXPECT_EQ(1, synchronisations_of([=] { cudaFreeHost(pinned); }));
}

TEST_F(ShadowCounts, Allocations) {
  shadow::reset_counts();
  const int64_t before = shadow::counts().memory_in_use;
  void *one = nullptr, *other = nullptr, *none = nullptr;
  cudaMalloc(&one, 1000);
  cudaMallocAsync(&other, 500, nullptr);
  EXPECT_EQ(cudaSuccess, cudaMalloc(&none, 0));
  EXPECT_EQ(nullptr, none);
  EXPECT_EQ(before + 1500, shadow::counts().memory_in_use);
  EXPECT_EQ(0, synchronisations_of([&] { cudaFreeAsync(other, nullptr); }));
  EXPECT_EQ(1, synchronisations_of([&] { cudaFree(one); }));
  EXPECT_EQ(before, shadow::counts().memory_in_use);
  EXPECT_EQ(before + 1500, shadow::counts().memory_peak);
  EXPECT_EQ(2, shadow::counts().allocations);
  shadow::reset_counts();
  EXPECT_EQ(before, shadow::counts().memory_peak);
  EXPECT_EQ(0, shadow::counts().allocations);
}

TEST_F(ShadowCountsDeathTest, AreWrittenWhenTheProgramEnds) {
  const std::string path = ::testing::TempDir() + "shadow_counts.json";
  const auto program = [&] {
    setenv("SHADOW_COUNTS", path.c_str(), 1);
    void* memory = nullptr;
    cudaMalloc(&memory, 123);
    std::exit(0);
  };
  EXPECT_EXIT(program(), ::testing::ExitedWithCode(0), "");
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_TRUE(contains(text.str(), "\"memory_peak\": 123")) << text.str();
  EXPECT_TRUE(contains(text.str(), "\"launches\": 0"));
  std::remove(path.c_str());
}

}  // namespace
