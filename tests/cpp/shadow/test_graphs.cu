// What a graph holds, and what its replays do.

#include <cublas_v2.h>

#include <algorithm>
#include <set>
#include <utility>

#include "graph_test.hpp"

namespace {

typedef GraphTest ShadowGraphs;

struct AddFrom {
  const int* by;
  int* to;
  void operator()(int) const { *to += *by; }
};

struct Double {
  int* to;
  void operator()(int) const { *to *= 2; }
};

TEST_F(ShadowGraphs, NothingRunsInACaptureAndEverythingInEachReplay) {
  begin();
  EXPECT_EQ(cudaStreamCaptureStatusActive, status(stream_));
  EXPECT_EQ(cudaStreamCaptureStatusNone, status(other_));
  launch(stream_, AddTo{3, memory_.get()});
  launch(stream_, Double{memory_.get()});
  EXPECT_EQ(0, shadow::operations_waiting());
  end();
  EXPECT_EQ(2u, nodes_);
  EXPECT_EQ(cudaStreamCaptureStatusNone, status(stream_));
  EXPECT_EQ(std::vector<int>{0}, memory_.values());
  replay();
  replay();  // before the first one has run
  EXPECT_EQ(4, shadow::operations_waiting());
  cudaStreamSynchronize(stream_);
  EXPECT_EQ(std::vector<int>{18}, memory_.values());
}

TEST_F(ShadowGraphs, AReplayHasTheBytesOfTheCaptureAndTheMemoryOfNow) {
  const OnDevice<int> step(std::vector<int>{10});
  cudaDeviceSynchronize();
  int by = 1;
  begin();
  launch(stream_, AddTo{by, memory_.get()});
  launch(stream_, AddFrom{step.get(), memory_.get()});
  end();
  by = 2;
  replay();
  cudaMemsetAsync(step.get(), 0, sizeof(int), stream_);
  replay();
  cudaStreamSynchronize(stream_);
  EXPECT_EQ(std::vector<int>{12}, memory_.values());
}

TEST_F(ShadowGraphs, ItsPlaceIsAmongTheOtherWorkOfTheStream) {
  begin();
  launch(stream_, Double{memory_.get()});
  end();
  for (int seed = 0; seed < 20; ++seed) {
    shadow::set_seed(seed);
    cudaMemsetAsync(memory_.get(), 0, sizeof(int), stream_);
    launch(stream_, AddTo{1, memory_.get()});
    replay();
    launch(stream_, AddTo{1, memory_.get()});
    replay();
    cudaEventRecord(event_, stream_);
    cudaStreamWaitEvent(other_, event_);
    cudaMemcpyAsync(pinned_, memory_.get(), sizeof(int), cudaMemcpyDefault, other_);
    cudaStreamSynchronize(other_);
    EXPECT_EQ(6, *pinned_);
  }
}

TEST_F(ShadowGraphs, OneThatIsLaunchedInTwoStreamsRunsTwiceInOrder) {
  *pinned_ = 0;
  begin();
  cudaMemcpyAsync(memory_.get(), pinned_, sizeof(int), cudaMemcpyDefault, stream_);
  launch(stream_, AddTo{1, memory_.get()});
  cudaMemcpyAsync(pinned_, memory_.get(), sizeof(int), cudaMemcpyDefault, stream_);
  end();
  for (int seed = 0; seed < 30; ++seed) {
    shadow::set_seed(seed);
    *pinned_ = 0;
    for (const cudaStream_t stream : {stream_, other_, stream_}) {
      EXPECT_EQ(cudaSuccess, cudaGraphLaunch(exec_, stream));
    }
    cudaStreamSynchronize(stream_);
    EXPECT_EQ(3, *pinned_);
  }
}

TEST_F(ShadowGraphs, FillsCopiesAndCallsOfLibrariesAreCapturedToo) {
  const OnDevice<float> x(std::vector<float>{0}), y(1);
  float* pinned = nullptr;
  ASSERT_EQ(cudaSuccess, cudaMallocHost(&pinned, 2 * sizeof(float)));
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(CUBLAS_STATUS_SUCCESS, cublasCreate(&handle));
  cublasSetStream(handle, stream_);
  float factor = 2;
  begin();
  EXPECT_EQ(cudaSuccess, cudaMemsetAsync(y.get(), 0, sizeof(float), stream_));
  cudaMemcpyAsync(x.get(), pinned, sizeof(float), cudaMemcpyHostToDevice, stream_);
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSaxpy(handle, 1, &factor, x.get(), 1, y.get(), 1));
  cudaMemcpyAsync(x.get(), y.get(), sizeof(float), cudaMemcpyDeviceToDevice, stream_);
  cudaMemcpyAsync(pinned + 1, x.get(), sizeof(float), cudaMemcpyDeviceToHost, stream_);
  end();
  EXPECT_EQ(5u, nodes_);
  factor = 0;
  for (const float value : {4.f, 5.f}) {
    *pinned = value;
    replay();
    cudaStreamSynchronize(stream_);
    EXPECT_EQ(2 * value, pinned[1]);
  }
  cublasDestroy(handle);
  cudaFreeHost(pinned);
}

/// Gives each element the number of elements that ran before it.
struct Stamp {
  int* clock;
  int* at;  // [n]
  void operator()(int i) const { at[i] = (*clock)++; }
};

TEST_F(ShadowGraphs, EachReplayHasItsOwnOrderOfElements) {
  SKIP_UNDER_SANITIZERS();
  constexpr int kCount = 1000;
  const OnDevice<int> clock(1), at(kCount);
  begin();
  cudaMemsetAsync(clock.get(), 0, sizeof(int), stream_);
  launch(stream_, Stamp{clock.get(), at.get()}, kCount);
  end();
  std::set<std::vector<int>> orders;
  for (int i = 0; i < 10; ++i) {
    replay();
    cudaStreamSynchronize(stream_);
    orders.insert(at.values());
  }
  EXPECT_GT(orders.size(), 5u);
}

TEST_F(ShadowGraphs, MemoryThatIsGoneIsAFault) {
  int *first = nullptr, *second = nullptr, *pinned = nullptr;
  cudaMalloc(&first, sizeof(int));
  cudaMallocAsync(&second, sizeof(int), stream_);
  cudaMallocHost(&pinned, sizeof(int));
  cudaGraphExec_t copies = nullptr;
  begin();
  cudaMemcpyAsync(first, pinned, sizeof(int), cudaMemcpyDefault, stream_);
  end();
  std::swap(copies, exec_);
  begin();
  launch(stream_, AddTo{1, second});
  end();
  for (const cudaGraphExec_t exec : {exec_, copies}) {
    EXPECT_EQ("", fault_of([=] { cudaGraphLaunch(exec, stream_); }));
  }
  cudaFreeAsync(second, stream_);  // after the first replay
  const std::string kernel = fault_of([=] { cudaGraphLaunch(exec_, stream_); });
  EXPECT_TRUE(contains(kernel, "a graph holds, for kernel AddTo, address 0x")) << kernel;
  EXPECT_TRUE(contains(kernel, "byte 0 of a block of 4 bytes on device 0, which was freed"))
      << kernel;
  cudaFreeHost(pinned);
  const std::string copy = fault_of([=] { cudaGraphLaunch(copies, stream_); });
  EXPECT_TRUE(contains(copy, "a graph holds, for a copy to the device, memory of the host"))
      << copy;
  cudaFree(first);
  EXPECT_TRUE(contains(fault_of([=] { cudaGraphLaunch(copies, stream_); }), "which was freed"));
  EXPECT_EQ(0, shadow::operations_waiting());
  cudaGraphExecDestroy(copies);
}

TEST_F(ShadowGraphs, CountsAreTheHostsCalls) {
  shadow::reset_counts();
  begin();
  launch(stream_, AddTo{1, memory_.get()});
  cudaMemsetAsync(memory_.get(), 0, sizeof(int), stream_);
  cudaMemcpyAsync(pinned_, memory_.get(), sizeof(int), cudaMemcpyDefault, stream_);
  end();
  for (const int64_t replays : {0, 1, 2}) {
    EXPECT_EQ(1, shadow::counts().launches);
    EXPECT_EQ(1, shadow::counts().fills);
    EXPECT_EQ(1, shadow::counts().copies_to_host);
    EXPECT_EQ(replays, shadow::counts().graph_launches);
    replay();
  }
  EXPECT_TRUE(contains(shadow::counts_as_json(), "\"graph_launches\": 3"));
  shadow::reset_counts();
  EXPECT_EQ(0, shadow::counts().graph_launches);
  EXPECT_EQ(0, shadow::counts().synchronisations);
}

TEST_F(ShadowGraphs, RecordedOperationsAreThoseOfReplays) {
  shadow::record_operations(true);
  begin();
  launch(stream_, Double{memory_.get()});
  cudaMemsetAsync(memory_.get(), 0, sizeof(int), stream_);
  end();
  EXPECT_EQ(std::vector<std::string>{}, shadow::recorded_operations());
  const std::string kernel = "0 kernel (anonymous namespace)::Double";
  replay();
  EXPECT_EQ((std::vector<std::string>{kernel, "0 a fill"}), shadow::recorded_operations());
  replay();
  EXPECT_EQ((std::vector<std::string>{kernel, "0 a fill", kernel, "0 a fill"}),
            shadow::recorded_operations());
  shadow::record_operations(false);
}

TEST_F(ShadowGraphs, AReplayComputesOnlyIfTheDeviceDoes) {
  shadow::set_computes(false);
  begin();
  launch(stream_, AddTo{1, memory_.get()});
  cudaMemcpyAsync(pinned_, memory_.get(), sizeof(int), cudaMemcpyDefault, stream_);
  end();
  *pinned_ = 7;
  replay();
  cudaStreamSynchronize(stream_);
  EXPECT_EQ(0, *pinned_);
  shadow::set_computes(true);
  replay();
  cudaStreamSynchronize(stream_);
  EXPECT_EQ(1, *pinned_);
}

TEST_F(ShadowGraphs, NodesAreGivenAsFarAsThereIsRoom) {
  begin();
  for (int i = 0; i < 3; ++i) launch(stream_, AddTo{i, memory_.get()});
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaSuccess, cudaStreamEndCapture(stream_, &graph));
  cudaGraphNode_t nodes[4];
  std::fill_n(nodes, 4, reinterpret_cast<cudaGraphNode_t>(this));
  size_t count = 2;
  EXPECT_EQ(cudaSuccess, cudaGraphGetNodes(graph, nodes, &count));
  EXPECT_EQ(2u, count);
  EXPECT_EQ(reinterpret_cast<cudaGraphNode_t>(this), nodes[2]);
  count = 4;
  EXPECT_EQ(cudaSuccess, cudaGraphGetNodes(graph, nodes, &count));
  EXPECT_EQ(3u, count);
  EXPECT_EQ(4u, std::set<cudaGraphNode_t>(nodes, nodes + 4).size());
  EXPECT_EQ(nullptr, nodes[3]);
  cudaGraphDestroy(graph);
}

TEST_F(ShadowGraphs, AGraphBelongsToItsDevice) {
  begin();
  launch(stream_, AddTo{1, memory_.get()});
  end();
  shadow::set_devices(2);
  cudaSetDevice(1);
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaGraphLaunch(exec_, stream_));
  const std::string fault = fault_of([&] { cudaGraphLaunch(exec_, nullptr); });
  EXPECT_TRUE(contains(fault, "a graph of device 0 is launched on device 1")) << fault;
}

}  // namespace
