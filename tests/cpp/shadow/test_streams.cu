// Operations run late and in every order that streams and events allow.

#include <set>
#include <thread>

#include "kernels/parallel.hpp"
#include "shadow_test.hpp"

namespace {

struct Store {
  int value;
  int* to;
  void operator()(int) const { *to = value; }
};

class ShadowStreams : public ShadowTest {
 protected:
  void SetUp() override {
    ShadowTest::SetUp();
    for (cudaStream_t* const stream : {&one_, &other_}) {
      ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking));
    }
    ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(&blocking_, cudaStreamDefault));
    ASSERT_EQ(cudaSuccess, cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
    ASSERT_EQ(cudaSuccess, cudaMallocHost(&pinned_, sizeof(int)));
  }
  void TearDown() override {
    ShadowTest::TearDown();
    for (const cudaStream_t stream : {one_, other_, blocking_}) cudaStreamDestroy(stream);
    cudaEventDestroy(event_);
    cudaFreeHost(pinned_);
  }
  static void store(int value, int* to, cudaStream_t stream) {
    const maap::OnStream on(stream);
    maap::parallel_for(maap::Device::kGPU, 1, Store{value, to});
  }
  /// What `order(memory)` leaves in *pinned_, over many seeds.
  template <typename F>
  std::set<int> results(const F& order) {
    std::set<int> found;
    for (int seed = 0; seed < 30; ++seed) {
      shadow::set_seed(seed);
      OnDevice<int> memory(std::vector<int>{0});
      cudaDeviceSynchronize();
      order(memory.get());
      cudaDeviceSynchronize();
      found.insert(*pinned_);
    }
    return found;
  }
  void read(int* from, cudaStream_t stream) {
    cudaMemcpyAsync(pinned_, from, sizeof(int), cudaMemcpyDeviceToHost, stream);
  }

  cudaStream_t one_ = nullptr, other_ = nullptr, blocking_ = nullptr;
  cudaEvent_t event_ = nullptr;
  int* pinned_ = nullptr;
};

TEST_F(ShadowStreams, NothingRunsUntilTheHostWaits) {
  OnDevice<int> memory(1);
  store(5, memory.get(), one_);
  *pinned_ = 1;
  read(memory.get(), one_);
  EXPECT_EQ(2, shadow::operations_waiting());
  EXPECT_EQ(1, *pinned_);
  EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(one_));
  EXPECT_EQ(0, shadow::operations_waiting());
  EXPECT_EQ(5, *pinned_);
}

TEST_F(ShadowStreams, AMissingEventWaitShows) {
  const auto without = [&](int* memory) {
    store(1, memory, one_);
    read(memory, other_);
  };
  EXPECT_EQ((std::set<int>{0, 1}), results(without));
  const auto with = [&](int* memory) {
    store(1, memory, one_);
    cudaEventRecord(event_, one_);
    cudaStreamWaitEvent(other_, event_, 0);
    read(memory, other_);
  };
  EXPECT_EQ(std::set<int>{1}, results(with));
}

TEST_F(ShadowStreams, AnEventStandsForWhatWasBeforeItsRecord) {
  const auto order = [&](int* memory) {
    store(1, memory, one_);
    cudaEventRecord(event_, one_);
    store(2, memory, one_);
    cudaStreamWaitEvent(other_, event_, 0);
    read(memory, other_);
  };
  EXPECT_EQ((std::set<int>{1, 2}), results(order));
  cudaEvent_t never = nullptr;  // recorded: nothing to wait for
  cudaEventCreateWithFlags(&never, cudaEventDisableTiming);
  EXPECT_EQ(cudaSuccess, cudaEventQuery(never));
  EXPECT_EQ(cudaSuccess, cudaEventSynchronize(never));
  cudaEventDestroy(never);
}

TEST_F(ShadowStreams, TheLegacyStreamWaitsForBlockingOnesAndTheyForIt) {
  const auto before = [&](int* memory) {
    store(1, memory, blocking_);
    read(memory, nullptr);
  };
  EXPECT_EQ(std::set<int>{1}, results(before));
  const auto after = [&](int* memory) {
    store(1, memory, cudaStreamLegacy);
    read(memory, blocking_);
  };
  EXPECT_EQ(std::set<int>{1}, results(after));
}

TEST_F(ShadowStreams, ItDoesNotWaitForNonBlockingOnesNorTheyForIt) {
  const auto before = [&](int* memory) {
    store(1, memory, one_);
    read(memory, nullptr);
  };
  EXPECT_EQ((std::set<int>{0, 1}), results(before));
  const auto after = [&](int* memory) {
    store(1, memory, nullptr);
    read(memory, one_);
  };
  EXPECT_EQ((std::set<int>{0, 1}), results(after));
}

TEST_F(ShadowStreams, PinnedMemoryIsReadWhenTheCopyRuns) {
  OnDevice<int> memory(1);
  *pinned_ = 1;
  cudaMemcpyAsync(memory.get(), pinned_, sizeof(int), cudaMemcpyHostToDevice, one_);
  *pinned_ = 2;  // too early
  cudaStreamSynchronize(one_);
  EXPECT_EQ(2, memory.values()[0]);
}

TEST_F(ShadowStreams, PageableMemoryMayBeReadAndWrittenWhenTheCopyRuns) {
  OnDevice<int> memory(1);
  int value = 1;
  cudaMemcpyAsync(memory.get(), &value, sizeof value, cudaMemcpyHostToDevice, one_);
  value = 2;  // too early
  cudaStreamSynchronize(one_);
  EXPECT_EQ(2, memory.values()[0]);
  store(3, memory.get(), one_);
  cudaMemcpyAsync(&value, memory.get(), sizeof value, cudaMemcpyDeviceToHost, one_);
  EXPECT_EQ(2, value);
  cudaStreamSynchronize(one_);
  EXPECT_EQ(3, value);
}

TEST_F(ShadowStreams, ACopyFromPageableMemoryMayArriveAfterItReturns) {
  const auto order = [&](int* memory) {
    const int value = 1;
    cudaMemcpy(memory, &value, sizeof value, cudaMemcpyHostToDevice);  // on the legacy stream
    read(memory, one_);
  };
  EXPECT_EQ((std::set<int>{0, 1}), results(order));
}

TEST_F(ShadowStreams, QueriesMakeProgress) {
  OnDevice<int> memory(1);
  for (int i = 0; i < 20; ++i) store(i, memory.get(), one_);
  cudaEventRecord(event_, one_);
  EXPECT_EQ(cudaErrorNotReady, cudaEventQuery(event_));
  EXPECT_EQ(cudaErrorNotReady, cudaGetLastError());
  int queries = 0;
  while (cudaStreamQuery(one_) == cudaErrorNotReady) ASSERT_LT(++queries, 1000);
  EXPECT_GT(queries, 1);
  EXPECT_EQ(cudaSuccess, cudaEventQuery(event_));
  cudaGetLastError();
}

TEST_F(ShadowStreams, AQueryLetsOtherDevicesGetOn) {
  shadow::set_devices(2);
  OnDevice<int> memory(1);
  store(1, memory.get(), one_);
  cudaEventRecord(event_, one_);
  cudaSetDevice(1);
  cudaStream_t there = nullptr;
  cudaStreamCreateWithFlags(&there, cudaStreamNonBlocking);
  cudaStreamWaitEvent(there, event_, 0);
  int queries = 0;
  while (cudaStreamQuery(there) == cudaErrorNotReady) ASSERT_LT(++queries, 1000);
  EXPECT_EQ(cudaSuccess, cudaEventQuery(event_));
  cudaStreamDestroy(there);
  cudaGetLastError();
}

TEST_F(ShadowStreams, HostFunctionsRunInTheirPlace) {
  struct Seen {
    int* pinned;
    int value;
    cudaError_t call;
  } seen = {pinned_, 0, cudaSuccess};
  OnDevice<int> memory(1);
  store(7, memory.get(), one_);
  read(memory.get(), one_);
  const auto look = [](void* data) {
    Seen* const out = static_cast<Seen*>(data);
    out->value = *out->pinned;
    out->call = cudaDeviceSynchronize();  // not allowed in here
  };
  ASSERT_EQ(cudaSuccess, cudaLaunchHostFunc(one_, look, &seen));
  EXPECT_EQ(0, seen.value);
  cudaStreamSynchronize(one_);
  EXPECT_EQ(7, seen.value);
  EXPECT_EQ(cudaErrorNotPermitted, seen.call);
}

TEST_F(ShadowStreams, ADestroyedStreamFinishesItsWork) {
  OnDevice<int> memory(1);
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  store(9, memory.get(), stream);
  EXPECT_EQ(cudaSuccess, cudaStreamDestroy(stream));
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
  cudaDeviceSynchronize();
  EXPECT_EQ(9, memory.values()[0]);
}

TEST_F(ShadowStreams, AStreamBelongsToItsDevice) {
  shadow::set_devices(2);
  cudaSetDevice(1);
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(one_));
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaEventRecord(event_, nullptr));
  OnDevice<int> memory(1);
  EXPECT_THROW(store(1, memory.get(), one_), maap::Error);
}

struct AddOne {
  int* to;  // [n]
  void operator()(int i) const { to[i] += 1; }
};

/// Rounds of work in a stream of the calling thread; the sum of what is wrong.
int errors_of_a_thread() {
  constexpr int kCount = 300;
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  const maap::OnStream on(stream);
  int errors = 0;
  for (int round = 0; round < 15; ++round) {
    int* memory = nullptr;
    cudaMallocAsync(&memory, kCount * sizeof(int), stream);
    cudaMemsetAsync(memory, 0, kCount * sizeof(int), stream);
    for (int i = 0; i < 3; ++i) maap::parallel_for(maap::Device::kGPU, kCount, AddOne{memory});
    std::vector<int> values(kCount);
    cudaMemcpyAsync(values.data(), memory, kCount * sizeof(int), cudaMemcpyDefault, stream);
    cudaStreamSynchronize(stream);
    for (const int value : values) errors += value != 3;
    cudaFreeAsync(memory, stream);
  }
  cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
  return errors;
}

TEST_F(ShadowStreams, ThreadsOfTheHostWorkSideBySide) {
  std::vector<int> errors(4, -1);
  std::vector<std::thread> threads;
  for (int& of_thread : errors) {
    threads.emplace_back([&of_thread] { of_thread = errors_of_a_thread(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::vector<int>(4, 0), errors);
  EXPECT_EQ(0, shadow::operations_waiting());
}

TEST_F(ShadowStreams, EventsMeasureTime) {
  cudaEvent_t start = nullptr, end = nullptr;
  cudaEventCreate(&start);
  cudaEventCreate(&end);
  cudaEventRecord(start, one_);
  cudaEventRecord(end, one_);
  float milliseconds = -1;
  EXPECT_EQ(cudaErrorNotReady, cudaEventElapsedTime(&milliseconds, start, end));
  cudaStreamSynchronize(one_);
  EXPECT_EQ(cudaSuccess, cudaEventElapsedTime(&milliseconds, start, end));
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, event_, end));
  cudaEventDestroy(start);
  cudaEventDestroy(end);
}

}  // namespace
