// Threads and streams on the shadow device, which runs streams in any order that events allow: a
// missing wait gives wrong values, or an error that names the block.

#include "caffe/util/gpu_context.hpp"

#include <cuda_runtime.h>

#include <atomic>

#include "caffe/util/gpu_pinned.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/gpu_workspace.hpp"
#include "tests/cpp/engine/forked.hpp"
#include "tests/cpp/shadow/small_net.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

namespace {

constexpr int kSeeds = 20;  // orders that are tried
constexpr int kCount = 1000;

/// A test that runs with many orders.
class GpuContextTest : public ::testing::Test {
 protected:
  template <typename F>
  void in_every_order(const F& f) {
    const OnGpu mode;
    for (int seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(seed);
      shadow::set_seed(seed);
      f();
      if (HasFailure()) return;
    }
  }
};

bool is_pinned(const void* memory) {
  cudaPointerAttributes attributes;
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, memory), cudaSuccess);
  return attributes.type == cudaMemoryTypeHost;
}

}  // namespace

TEST_F(GpuContextTest, EveryThreadHasItsOwn) {
  GpuContext* const mine = &GpuContext::current();
  EXPECT_EQ(&GpuContext::current(), mine);
  EXPECT_EQ(maap::current_stream(), mine->stream());
  GpuContext* theirs = nullptr;
  in_thread([&] {
    EXPECT_EQ(maap::current_stream(), nullptr) << "it has not used the GPU yet";
    theirs = &GpuContext::current();
    EXPECT_EQ(maap::current_stream(), theirs->stream());
  });
  EXPECT_NE(theirs, mine);
  in_thread([&] { EXPECT_EQ(&GpuContext::current(), theirs) << "a dead thread's is used again"; });
}

TEST_F(GpuContextTest, AllLayersOfAThreadShareOneWorkspace) {
  const OnGpu mode;
  GpuContext& mine = GpuContext::current();
  void* const large = mine.workspace(4000);
  EXPECT_EQ(mine.workspace(10), large);
  EXPECT_GE(mine.workspace_bytes(), 4000u);
  EXPECT_EQ(device::workspace(4000), large);
}

TEST_F(GpuContextTest, AReaderWaitsForTheThreadThatWrote) {
  in_every_order([] {
    Blob<float> blob({kCount});
    in_thread([&] { caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data()); });
    Blob<float> copy({kCount});
    caffe_gpu_scale(kCount, 2.f, blob.gpu_data(), copy.mutable_gpu_data());
    EXPECT_EQ(copy.cpu_data()[kCount - 1], 6.f);
    EXPECT_EQ(blob.cpu_data()[kCount - 1], 3.f);
  });
}

TEST_F(GpuContextTest, AWriterWaitsForAllReaders) {
  in_every_order([] {
    Blob<float> blob({kCount}), here({kCount}), there({kCount});
    caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data());
    caffe_gpu_scale(kCount, 2.f, blob.gpu_data(), here.mutable_gpu_data());
    in_thread([&] { caffe_gpu_scale(kCount, 4.f, blob.gpu_data(), there.mutable_gpu_data()); });
    in_thread([&] { caffe_gpu_set(kCount, 7.f, blob.mutable_gpu_data()); });
    EXPECT_EQ(here.cpu_data()[0], 6.f);
    EXPECT_EQ(there.cpu_data()[0], 12.f);
    EXPECT_EQ(blob.cpu_data()[0], 7.f);
  });
}

/// A thread that wrote, was read from, and reads on: the next writer waits for that as well.
TEST_F(GpuContextTest, AWriterWaitsForWhatThePreviousWriterReadsLater) {
  in_every_order([] {
    Blob<float> blob({kCount}), early({kCount}), late({kCount});
    caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data());
    std::atomic<bool> read{false}, go_on{false};
    std::thread other([&] {
      const OnGpu mode;
      caffe_gpu_scale(kCount, 2.f, blob.gpu_data(), early.mutable_gpu_data());
      read = true;
      while (!go_on) std::this_thread::yield();
      caffe_gpu_set(kCount, 9.f, blob.mutable_gpu_data());
    });
    while (!read) std::this_thread::yield();
    caffe_gpu_scale(kCount, 5.f, blob.gpu_data(), late.mutable_gpu_data());
    go_on = true;
    other.join();
    EXPECT_EQ(late.cpu_data()[0], 15.f);
    EXPECT_EQ(early.cpu_data()[0], 6.f);
    EXPECT_EQ(blob.cpu_data()[0], 9.f);
  });
}

TEST_F(GpuContextTest, MemoryIsFreedAfterItsLastUse) {
  in_every_order([] {
    Blob<float> result({kCount});
    std::unique_ptr<Blob<float>> blob(new Blob<float>(vector<int>{kCount}));
    caffe_gpu_set(kCount, 3.f, blob->mutable_gpu_data());
    in_thread([&] { caffe_gpu_scale(kCount, 2.f, blob->gpu_data(), result.mutable_gpu_data()); });
    in_thread([&] { blob.reset(); });
    Blob<float> next({kCount});  // may get the same memory
    caffe_gpu_set(kCount, 8.f, next.mutable_gpu_data());
    EXPECT_EQ(result.cpu_data()[kCount - 1], 6.f);
  });
}

/// The memory of one blob, used through another one.
TEST_F(GpuContextTest, BorrowedMemoryIsKeptInOrderToo) {
  in_every_order([] {
    Blob<float> owner({2 * kCount}), part({kCount}), result({kCount});
    in_thread([&] { caffe_gpu_set(2 * kCount, 3.f, owner.mutable_gpu_data()); });
    part.set_gpu_data(owner.mutable_gpu_data() + kCount);
    in_thread([&] { caffe_gpu_scale(kCount, 2.f, part.gpu_data(), result.mutable_gpu_data()); });
    caffe_gpu_set(2 * kCount, 5.f, owner.mutable_gpu_data());
    EXPECT_EQ(result.cpu_data()[0], 6.f);
    EXPECT_EQ(part.cpu_data()[0], 5.f);
  });
}

/// As a layer written for Caffe launches its kernels.
TEST_F(GpuContextTest, KernelsOnTheLegacyStreamAreInOrder) {
  in_every_order([] {
    Blob<float> blob({kCount});
    caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data());
    caffe_gpu_scal(kCount, 2.f, blob.mutable_gpu_data(), static_cast<cudaStream_t>(nullptr));
    caffe_gpu_add_scalar(kCount, 1.f, blob.mutable_gpu_data());
    EXPECT_EQ(blob.cpu_data()[kCount - 1], 7.f);
  });
}

TEST_F(GpuContextTest, APushGoesOnInItsStream) {
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  in_every_order([&] {
    constexpr int kLarge = 50000;
    Blob<float> blob({kLarge}), before({kLarge}), after({kLarge});
    caffe_set(kLarge, 1.f, blob.mutable_cpu_data());
    caffe_gpu_scale(kLarge, 1.f, blob.gpu_data(), before.mutable_gpu_data());
    caffe_set(kLarge, 4.f, blob.mutable_cpu_data());  // the kernel above has yet to read the GPU's
    shadow::reset_counts();
    blob.data()->async_gpu_push(stream);
    EXPECT_EQ(shadow::counts().synchronisations, 0);
    EXPECT_EQ(blob.data()->head(), SyncedMemory::SYNCED);
    caffe_gpu_scale(kLarge, 2.f, blob.gpu_data(), after.mutable_gpu_data());
    caffe_set(kLarge, 100.f, blob.mutable_cpu_data());  // not before the copy has its values
    EXPECT_EQ(after.cpu_data()[kLarge - 1], 8.f);
    EXPECT_EQ(before.cpu_data()[kLarge - 1], 1.f);
  });
  cudaStreamDestroy(stream);
}

TEST_F(GpuContextTest, AnEventLetsTheCopyStreamGoFirst) {
  in_every_order([] {
    const size_t bytes = kCount * sizeof(float);
    float* const from = static_cast<float*>(device::allocate_pinned(bytes));
    float* const to = static_cast<float*>(device::allocate(bytes));
    for (int i = 0; i < kCount; ++i) from[i] = 2;
    const device::Stream copies = GpuContext::current().copy_stream();
    device::wait_for(device::record(), copies);
    device::copy_async(to, from, bytes, copies);
    const device::Event copied = device::record(copies);
    device::wait_for(copied);
    Blob<float> result({kCount});
    caffe_gpu_scale(kCount, 3.f, to, result.mutable_gpu_data());
    EXPECT_EQ(result.cpu_data()[kCount - 1], 6.f);
    EXPECT_TRUE(device::is_done(copied));
    EXPECT_TRUE(device::is_done(nullptr));
    device::release(to);
    device::finish(copied);
    device::release_pinned(from);
  });
}

TEST_F(GpuContextTest, OnlyWhatCrossesTheBusAgainAndAgainIsPinned) {
  const OnGpu mode;
  shadow::reset_counts();
  Blob<float> batch({50000}), result({50000});
  for (int i = 1; i < 5; ++i) {
    caffe_set(50000, float(i), batch.mutable_cpu_data());
    caffe_gpu_scale(50000, 2.f, batch.gpu_data(), result.mutable_gpu_data());
    EXPECT_EQ(is_pinned(batch.cpu_data()), i > 1);
    EXPECT_EQ(result.cpu_data()[49999], 2.f * i);
    EXPECT_FALSE(is_pinned(result.cpu_data()));
  }
  EXPECT_EQ(shadow::counts().pinned_allocations, 0);
  Blob<float> tiny({10});
  for (int i = 0; i < 5; ++i) {
    tiny.mutable_cpu_data();
    tiny.gpu_data();
  }
  EXPECT_FALSE(is_pinned(tiny.cpu_data()));
}

TEST_F(GpuContextTest, ABatchIsNotChangedBeforeItIsUploaded) {
  in_every_order([] {
    Blob<float> batch({50000}), result({4});
    for (int i = 1; i < 5; ++i) {
      caffe_set(50000, float(i), batch.mutable_cpu_data());
      caffe_gpu_scale(1, 1.f, batch.gpu_data() + 49999, result.mutable_gpu_data() + i - 1);
    }
    for (int i = 1; i < 5; ++i) EXPECT_EQ(result.cpu_data()[i - 1], float(i));
  });
}

TEST_F(GpuContextTest, ABlockMovesToTheGpuOfItsThread) {
  const Devices two(2);
  in_every_order([] {
    Blob<float> blob({kCount}), result({kCount});
    Caffe::SetDevice(0);
    caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data());
    in_thread([&] {
      Caffe::SetDevice(1);
      EXPECT_EQ(GpuContext::current().device(), 1);
      caffe_gpu_scale(kCount, 2.f, blob.gpu_data(), result.mutable_gpu_data());
    });
    EXPECT_EQ(result.cpu_data()[kCount - 1], 6.f);
    caffe_gpu_add_scalar(kCount, 1.f, blob.mutable_gpu_data());
    EXPECT_EQ(blob.cpu_data()[0], 4.f);
  });
}

TEST_F(GpuContextTest, AThreadReadsAndWritesWhatIsOnAnotherGpu) {
  const Devices two(2);
  in_every_order([] {
    Blob<float> blob({kCount}), mine({kCount});
    Caffe::SetDevice(0);
    caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data());
    in_thread([&] {
      Caffe::SetDevice(1);
      caffe_gpu_set(kCount, 1.f, mine.mutable_gpu_data());
      EXPECT_EQ(blob.cpu_data()[kCount - 1], 3.f);
      caffe_gpu_add_scalar(kCount, 1.f, mine.mutable_gpu_data());
      std::vector<float> values(kCount, 5.f);
      float* const there = static_cast<float*>(const_cast<void*>(blob.data()->gpu_data()));
      device::copy(there, values.data(), sizeof(float) * kCount);
      values.assign(kCount, 0.f);
      EXPECT_EQ(mine.cpu_data()[0], 2.f);
      EXPECT_EQ(maap::current_stream(), GpuContext::current().stream());
    });
    caffe_gpu_add_scalar(kCount, 1.f, blob.mutable_gpu_data());
    EXPECT_EQ(blob.cpu_data()[0], 6.f);
  });
}

TEST_F(GpuContextTest, OrdinaryMemoryIsDoneWithWhenACopyReturns) {
  in_every_order([] {
    Blob<float> blob({kCount});
    std::vector<float> values(kCount, 1.f);
    float* const there = blob.mutable_gpu_data();
    device::copy(there, values.data(), sizeof(float) * kCount);
    values.assign(kCount, 2.f);
    caffe_gpu_add_scalar(kCount, 1.f, there);
    device::copy(values.data(), there, sizeof(float) * kCount);
    EXPECT_EQ(values, std::vector<float>(kCount, 2.f));
    values.assign(kCount, 3.f);
    EXPECT_EQ(blob.cpu_data()[0], 2.f);
  });
}

TEST_F(GpuContextTest, PinnedMemoryIsKeptWhileThereAreSeveralRanks) {
  in_every_order([] {
    const RankOfProcess one, two;
    in_thread([] {
      Blob<float> blob({kCount});
      float* const there = blob.mutable_gpu_data();
      const size_t bytes = sizeof(float) * kCount;
      float* const first = static_cast<float*>(device::allocate_pinned(bytes));
      std::fill_n(first, kCount, 1.f);
      device::copy_async(there, first, bytes);
      device::release_pinned(first);
      shadow::reset_counts();
      float* const again = static_cast<float*>(device::allocate_pinned(bytes - 100));
      EXPECT_EQ(again, first);
      std::fill_n(again, kCount, 2.f);
      void* const small = device::allocate_pinned(10);
      EXPECT_NE(small, first) << "of more than twice the size";
      EXPECT_EQ(blob.cpu_data()[0], 1.f);
      EXPECT_FALSE(device::pin(again, bytes));
      device::release_pinned(small);
      device::release_pinned(again);
    });
  });
}

/// The copy within GPU 1 that a thread on GPU 0 asks for.
TEST_F(GpuContextTest, AnotherGpusMemoryIsCopiedThere) {
  const Devices two(2);
  in_every_order([] {
    Blob<float> from({kCount}), to({kCount});
    float *source = nullptr, *target = nullptr;
    Caffe::SetDevice(0);
    in_thread([&] {
      Caffe::SetDevice(1);
      source = from.mutable_gpu_data();
      target = to.mutable_gpu_data();
      caffe_gpu_set(kCount, 3.f, source);
      caffe_gpu_set(kCount, 0.f, target);
      device::wait();
    });
    device::copy(target, source, sizeof(float) * kCount);
    device::wait();
    EXPECT_EQ(to.cpu_data()[kCount - 1], 3.f);
  });
}

TEST_F(GpuContextTest, ARecordingEndsWhereTheWorkspaceGrows) {
  const OnGpu mode;
  in_thread([] {
    device::workspace(1000);
    GpuTrace trace(GpuTrace::kRecord, nullptr);
    const GpuTrace::Scope scope(&trace);
    device::workspace(900);
    EXPECT_THROW(device::workspace(2000), NotRecorded);
    EXPECT_THROW(device::operand_room(1), NotRecorded);
  });
}

TEST_F(GpuContextTest, AChildCannotUseItsParentsGpu) {
  const OnGpu mode;
  Blob<float> blob({kCount});
  caffe_gpu_set(kCount, 3.f, blob.mutable_gpu_data());
  const int status = status_in_child([&] {
    const bool said = contains(error_of([&] { blob.cpu_data(); }), "forked") &&
                      contains(error_of([] { Caffe::SetDevice(0); }), "forked");
    return said && device::count() == 0 ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(blob.cpu_data()[0], 3.f);
}

TEST_F(GpuContextTest, CountsAndTimesOfTheStream) {
  const OnGpu mode;
  const device::Event start = device::record_time();
  EXPECT_GE(device::milliseconds(start, device::record_time()), 0.f);
}

}  // namespace caffe
