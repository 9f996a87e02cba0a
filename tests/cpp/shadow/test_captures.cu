// How a capture begins and ends, and what is forbidden meanwhile.

#include <cublas_v2.h>
#include <nccl.h>

#include <thread>
#include <utility>
#include <vector>

#include "graph_test.hpp"

namespace {

typedef GraphTest ShadowCaptures;

TEST_F(ShadowCaptures, ACapturedStreamRefusesWhatWaits) {
  int pageable = 0;
  const std::vector<char> much(100000);
  const OnDevice<char> room(100000);
  const size_t bytes = sizeof(int);
  int* const device = memory_.get();
  const cudaError_t refused = cudaErrorStreamCaptureUnsupported;
  expect_refused("synchronise", refused, [&] { return cudaStreamSynchronize(stream_); });
  expect_refused("query", refused, [&] { return cudaStreamQuery(stream_); });
  expect_refused("synchronise another", refused, [&] { return cudaStreamSynchronize(other_); });
  expect_refused("query another", refused, [&] { return cudaStreamQuery(other_); });
  expect_refused("device", refused, [] { return cudaDeviceSynchronize(); });
  expect_refused("event", refused, [&] { return cudaEventSynchronize(event_); });
  expect_refused("event query", refused, [&] { return cudaEventQuery(event_); });
  expect_refused("from pageable memory", refused, [&] {
    return cudaMemcpyAsync(device, &pageable, bytes, cudaMemcpyDefault, stream_);
  });
  expect_refused("to pageable memory", refused, [&] {
    return cudaMemcpyAsync(&pageable, device, bytes, cudaMemcpyDefault, stream_);
  });
  expect_refused("a long copy from pageable memory", refused, [&] {
    return cudaMemcpyAsync(room.get(), much.data(), much.size(), cudaMemcpyDefault, stream_);
  });
  expect_refused("a copy that waits elsewhere", refused,
                 [&] { return cudaMemcpy(device, pinned_, bytes, cudaMemcpyDefault); });
  expect_refused("a copy to pageable memory elsewhere", refused, [&] {
    return cudaMemcpyAsync(&pageable, device, bytes, cudaMemcpyDefault, other_);
  });
}

TEST_F(ShadowCaptures, ACapturingThreadMayNotAllocateOrFree) {
  void* made = nullptr;
  void* const device = memory_.get();
  alignas(64) static char pageable[64];
  const cudaError_t refused = cudaErrorStreamCaptureUnsupported;
  const int64_t before = shadow::counts().memory_in_use;
  expect_refused("cudaMalloc", refused, [&] { return cudaMalloc(&made, 4); });
  expect_refused("cudaFree", refused, [&] { return cudaFree(device); });
  expect_refused("cudaMallocHost", refused, [&] { return cudaMallocHost(&made, 4); });
  expect_refused("cudaHostAlloc", refused, [&] { return cudaHostAlloc(&made, 4, 0); });
  expect_refused("cudaFreeHost", refused, [&] { return cudaFreeHost(pinned_); });
  expect_refused("cudaHostRegister", refused, [&] { return cudaHostRegister(pageable, 64, 0); });
  expect_refused("cudaHostUnregister", refused, [&] { return cudaHostUnregister(pageable); });
  expect_refused("cudaMallocAsync", refused, [&] { return cudaMallocAsync(&made, 4, stream_); });
  expect_refused("cudaFreeAsync", refused, [&] { return cudaFreeAsync(device, stream_); });
  EXPECT_EQ(nullptr, made);
  EXPECT_EQ(before, shadow::counts().memory_in_use);
  begin();
  EXPECT_EQ(cudaSuccess, cudaFree(nullptr));
  EXPECT_EQ(cudaSuccess, cudaMallocAsync(&made, 4, other_));
  EXPECT_EQ(cudaSuccess, cudaFreeAsync(made, other_));
  EXPECT_EQ(cudaStreamCaptureStatusActive, status(stream_));
  end();
}

TEST_F(ShadowCaptures, ACapturedStreamRefusesWhatNoGraphHereHolds) {
  const cudaError_t refused = cudaErrorStreamCaptureUnsupported;
  expect_refused("a record", refused, [&] { return cudaEventRecord(event_, stream_); });
  expect_refused("a wait", cudaErrorStreamCaptureIsolation,
                 [&] { return cudaStreamWaitEvent(stream_, event_); });
  expect_refused("a host function", refused,
                 [&] { return cudaLaunchHostFunc(stream_, [](void*) {}, nullptr); });
  expect_refused("its end", refused, [&] { return cudaStreamDestroy(stream_); });
  begin();
  end();
  EXPECT_EQ(0u, nodes_);
  replay();
  EXPECT_EQ(0, shadow::operations_waiting());
  expect_refused("a graph", refused, [&] { return cudaGraphLaunch(exec_, stream_); });
}

TEST_F(ShadowCaptures, LibrariesAreRefusedToo) {
  cublasHandle_t handle = nullptr, another = nullptr;
  ASSERT_EQ(CUBLAS_STATUS_SUCCESS, cublasCreate(&handle));
  const OnDevice<float> x(std::vector<float>{1});
  float sum = 0;
  cublasSetStream(handle, stream_);
  begin();
  EXPECT_NE(CUBLAS_STATUS_SUCCESS, cublasSasum(handle, 1, x.get(), 1, &sum));  // it waits
  EXPECT_NE(CUBLAS_STATUS_SUCCESS, cublasSscal(handle, 1, &sum, x.get(), 1));  // too late
  expect_invalid(stream_);
  begin();
  EXPECT_NE(CUBLAS_STATUS_SUCCESS, cublasCreate(&another));
  expect_invalid(stream_);
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSasum(handle, 1, x.get(), 1, &sum));
  EXPECT_EQ(1, sum);
  cublasDestroy(handle);
}

/// The state of a communicator once it does nothing in the background any more.
ncclResult_t settled(ncclComm_t comm) {
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) EXPECT_EQ(ncclSuccess, ncclCommGetAsyncError(comm, &state));
  return state;
}

TEST_F(ShadowCaptures, NcclIsRefusedAlsoIfItQueuesLater) {
  const OnDevice<float> memory(1);
  ncclUniqueId id;
  ncclComm_t comm = nullptr;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ASSERT_EQ(ncclSuccess, ncclGetUniqueId(&id));
  const auto join = [&] { return ncclCommInitRankConfig(&comm, 1, id, 0, &config); };
  const auto add_up = [&](cudaStream_t stream) {
    return ncclAllReduce(memory.get(), memory.get(), 1, ncclFloat32, ncclSum, comm, stream);
  };
  begin();
  EXPECT_EQ(ncclUnhandledCudaError, join());
  expect_invalid(stream_);
  ASSERT_EQ(ncclInProgress, join());
  ASSERT_EQ(ncclSuccess, settled(comm));
  begin();
  add_up(other_);
  EXPECT_EQ(ncclSuccess, settled(comm));
  EXPECT_EQ(cudaStreamCaptureStatusActive, status(stream_));
  EXPECT_EQ(ncclUnhandledCudaError, add_up(stream_));
  expect_invalid(stream_);
  EXPECT_EQ(ncclSuccess, settled(comm));
  while (add_up(stream_) == ncclSuccess) {  // until one is not queued at once
  }
  begin();
  EXPECT_EQ(ncclUnhandledCudaError, settled(comm));
  expect_invalid(stream_);
  EXPECT_EQ(ncclSuccess, ncclCommAbort(comm));
}

TEST_F(ShadowCaptures, AnInvalidCaptureTakesNoKernel) {
  begin();
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(stream_));
  EXPECT_TRUE(contains(error_of_launch(stream_), "due to a previous error during capture"));
  expect_invalid(stream_);
}

TEST_F(ShadowCaptures, BeginAndEndCheckWhatTheyAreGiven) {
  const cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal;
  cudaGraph_t graph = nullptr;
  for (const cudaStream_t legacy : {cudaStream_t(nullptr), cudaStreamLegacy}) {
    EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaStreamBeginCapture(legacy, mode));
    EXPECT_EQ(cudaErrorIllegalState, cudaStreamEndCapture(legacy, &graph));
  }
  EXPECT_EQ(cudaErrorIllegalState, cudaStreamEndCapture(stream_, &graph));
  EXPECT_EQ(cudaErrorInvalidValue, cudaStreamEndCapture(stream_, nullptr));
  begin();
  EXPECT_EQ(cudaErrorIllegalState, cudaStreamBeginCapture(stream_, mode));
  EXPECT_EQ(cudaErrorIllegalState, cudaStreamEndCapture(other_, &graph));
  std::thread([&] {
    EXPECT_EQ(cudaErrorStreamCaptureWrongThread, cudaStreamEndCapture(stream_, &graph));
  }).join();
  EXPECT_EQ(cudaStreamCaptureStatusActive, status(stream_));
  end();
  begin(cudaStreamCaptureModeRelaxed);
  std::thread([&] { EXPECT_EQ(cudaSuccess, cudaStreamEndCapture(stream_, &graph)); }).join();
  EXPECT_EQ(cudaErrorInvalidValue, cudaGraphInstantiate(nullptr, graph));
  EXPECT_EQ(cudaSuccess, cudaGraphDestroy(graph));
  EXPECT_EQ(cudaErrorInvalidValue, cudaGraphLaunch(nullptr, stream_));
  EXPECT_STREQ("cudaErrorStreamCaptureWrongThread",
               cudaGetErrorName(cudaErrorStreamCaptureWrongThread));
}

TEST_F(ShadowCaptures, TheLegacyStreamIsForbiddenWhileABlockingOneIsCaptured) {
  const cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal;
  int* const memory = memory_.get();
  const auto in_a_thread = [](const std::function<cudaError_t()>& call) {
    cudaError_t error = cudaSuccess;
    std::thread([&] { error = call(); }).join();
    return error;
  };
  const std::function<cudaError_t()> uses[] = {
      [=] { return cudaMemset(memory, 0, 4); },
      [=] { return cudaMemsetAsync(memory, 0, 4, cudaStreamLegacy); },
      [=] { return cudaMemcpy(pinned_, memory, 4, cudaMemcpyDefault); },
      [=] { return cudaStreamSynchronize(nullptr); },
      [=] { return cudaStreamQuery(nullptr); },
      [=] { return cudaEventRecord(event_, nullptr); },
      [=] { return cudaStreamWaitEvent(nullptr, event_); },
      [=] {
        const std::string error = error_of_launch(nullptr);
        const bool is_it = contains(error, cudaGetErrorString(cudaErrorStreamCaptureImplicit));
        return is_it ? cudaErrorStreamCaptureImplicit : cudaSuccess;
      },
  };
  for (const auto& use : uses) {
    for (const bool elsewhere : {false, true}) {
      EXPECT_EQ(cudaSuccess, cudaStreamBeginCapture(blocking_, mode));
      EXPECT_EQ(cudaErrorStreamCaptureImplicit, elsewhere ? in_a_thread(use) : use());
      expect_invalid(blocking_);
    }
  }
  EXPECT_EQ(cudaSuccess, cudaStreamBeginCapture(blocking_, mode));
  cudaStreamCaptureStatus status_of_legacy;
  EXPECT_EQ(cudaErrorStreamCaptureImplicit, cudaStreamIsCapturing(nullptr, &status_of_legacy));
  EXPECT_EQ(cudaStreamCaptureStatusActive, status(blocking_));
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaSuccess, cudaStreamEndCapture(blocking_, &graph));
  cudaGraphDestroy(graph);
  begin();  // a stream that does not block
  EXPECT_EQ(cudaSuccess, cudaMemset(memory, 0, 4));
  end();
}

TEST_F(ShadowCaptures, AnotherThreadWorksOnItsOwnStream) {
  const auto work = [&] {
    int *memory = nullptr, *pinned = nullptr;
    EXPECT_EQ(cudaSuccess, cudaMalloc(&memory, sizeof(int)));
    EXPECT_EQ(cudaSuccess, cudaMallocHost(&pinned, sizeof(int)));
    for (int i = 0; i < 50; ++i) {
      cudaMemsetAsync(memory, 0, sizeof(int), other_);
      launch(other_, AddTo{i, memory});
      cudaMemcpyAsync(pinned, memory, sizeof(int), cudaMemcpyDefault, other_);
      EXPECT_EQ(cudaSuccess, cudaEventRecord(event_, other_));
      EXPECT_EQ(cudaSuccess, cudaEventSynchronize(event_));
      EXPECT_EQ(i, *pinned);
    }
    EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(other_));
    EXPECT_EQ(cudaSuccess, cudaFreeHost(pinned));
    EXPECT_EQ(cudaSuccess, cudaFree(memory));
  };
  begin();
  std::thread(work).join();  // surely during the capture
  end();
  cudaGraphExecDestroy(std::exchange(exec_, nullptr));
  std::thread other(work);
  for (int i = 0; i < 20; ++i) {
    begin();
    for (int j = 0; j < 5; ++j) launch(stream_, AddTo{1, memory_.get()});
    end();
    EXPECT_EQ(5u, nodes_);
    replay();
    cudaStreamSynchronize(stream_);
    cudaGraphExecDestroy(std::exchange(exec_, nullptr));
  }
  other.join();
  EXPECT_EQ(std::vector<int>{100}, memory_.values());
}

TEST_F(ShadowCaptures, ADeviceWithACaptureCannotBeWaitedForByAnyThread) {
  begin();
  std::thread([] { EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaDeviceSynchronize()); }).join();
  expect_invalid(stream_);
}

TEST_F(ShadowCaptures, AGlobalCaptureForbidsOtherThreadsAndARelaxedOneNobody) {
  void* made = nullptr;
  begin(cudaStreamCaptureModeGlobal);
  std::thread([&] { EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaMalloc(&made, 4)); }).join();
  expect_invalid(stream_);
  begin(cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaSuccess, cudaMalloc(&made, 4));
  EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(other_));
  EXPECT_EQ(cudaSuccess, cudaFree(made));
  end();
}

TEST_F(ShadowCaptures, AnInjectedFailureComesAtTheEnd) {
  cudaGraph_t graph = nullptr;
  shadow::fail_capture(2);
  EXPECT_EQ(cudaErrorIllegalState, cudaStreamEndCapture(stream_, &graph));  // does not count
  begin();
  end();
  begin();
  EXPECT_EQ(cudaSuccess, cudaMemsetAsync(memory_.get(), 0, 4, stream_));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(stream_, &graph));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaGetLastError());
  EXPECT_EQ(nullptr, graph);
  EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(stream_));
  cudaGraphExecDestroy(std::exchange(exec_, nullptr));
  begin();
  end();
  shadow::fail_capture(1);
  shadow::fail_capture(0);
  cudaGraphExecDestroy(std::exchange(exec_, nullptr));
  begin();
  end();
}

TEST_F(ShadowCaptures, AStickyErrorEndsACapture) {
  shadow::fail_launch(1, true);
  launch(other_, AddTo{1, memory_.get()});
  begin();
  std::thread([&] { EXPECT_EQ(cudaErrorLaunchFailure, cudaStreamSynchronize(other_)); }).join();
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaErrorLaunchFailure, cudaStreamEndCapture(stream_, &graph));
  EXPECT_EQ(nullptr, graph);
  shadow::clear_sticky_error();
  EXPECT_EQ(cudaStreamCaptureStatusNone, status(stream_));
}

}  // namespace
