#ifndef TESTS_CPP_SHADOW_GRAPH_TEST_HPP_
#define TESTS_CPP_SHADOW_GRAPH_TEST_HPP_

#include <functional>
#include <string>

#include "kernels/parallel.hpp"
#include "shadow_test.hpp"

struct AddTo {
  int by;
  int* to;  // [n]
  void operator()(int i) const { to[i] += by; }
};

/// Streams, and a graph of the one that is captured.
class GraphTest : public ShadowTest {
 protected:
  void SetUp() override {
    ShadowTest::SetUp();
    ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(&other_, cudaStreamNonBlocking));
    ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(&blocking_, cudaStreamDefault));
    ASSERT_EQ(cudaSuccess, cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
    ASSERT_EQ(cudaSuccess, cudaMallocHost(&pinned_, sizeof(int)));
    cudaDeviceSynchronize();  // the value of memory_ is there
  }
  void TearDown() override {
    shadow::set_computes(true);
    if (exec_ != nullptr) cudaGraphExecDestroy(exec_);
    ShadowTest::TearDown();
    for (const cudaStream_t stream : {stream_, other_, blocking_}) {
      EXPECT_EQ(cudaSuccess, cudaStreamDestroy(stream));
    }
    cudaEventDestroy(event_);
    cudaFreeHost(pinned_);
  }

  template <typename F>
  static void launch(cudaStream_t stream, const F& f, int n = 1) {
    const maap::OnStream on(stream);
    maap::parallel_for(maap::Device::kGPU, n, f);
  }
  /// The text of the error of a kernel's launch, or "".
  std::string error_of_launch(cudaStream_t stream) const {
    try {
      launch(stream, AddTo{1, memory_.get()});
    } catch (const maap::Error& error) {
      return error.what();
    }
    return "";
  }
  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal) {
    ASSERT_EQ(cudaSuccess, cudaStreamBeginCapture(stream_, mode));
  }
  /// Ends the capture and makes exec_ of it.
  void end() {
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaSuccess, cudaStreamEndCapture(stream_, &graph));
    ASSERT_EQ(cudaSuccess, cudaGraphGetNodes(graph, nullptr, &nodes_));
    ASSERT_EQ(cudaSuccess, cudaGraphInstantiate(&exec_, graph));
    ASSERT_EQ(cudaSuccess, cudaGraphDestroy(graph));
  }
  void replay() { ASSERT_EQ(cudaSuccess, cudaGraphLaunch(exec_, stream_)); }
  cudaStreamCaptureStatus status(cudaStream_t stream) {
    cudaStreamCaptureStatus found = cudaStreamCaptureStatusNone;
    EXPECT_EQ(cudaSuccess, cudaStreamIsCapturing(stream, &found));
    return found;
  }
  /// The capture of a stream is invalid: it says so, gives nothing, and leaves the stream usable.
  void expect_invalid(cudaStream_t stream) {
    EXPECT_EQ(cudaStreamCaptureStatusInvalidated, status(stream));
    EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaMemsetAsync(memory_.get(), 1, 4, stream));
    EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaStreamSynchronize(stream));
    cudaGraph_t graph = reinterpret_cast<cudaGraph_t>(this);
    EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(stream, &graph));
    EXPECT_EQ(nullptr, graph);
    EXPECT_EQ(cudaStreamCaptureStatusNone, status(stream));
    EXPECT_EQ(cudaSuccess, cudaMemsetAsync(memory_.get(), 0, 4, stream));
    EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(stream));
    cudaGetLastError();
  }
  /// `call` in a capture of stream_ fails like that, and makes the capture invalid.
  void expect_refused(const char* what, cudaError_t expected,
                      const std::function<cudaError_t()>& call) {
    SCOPED_TRACE(what);
    begin();
    EXPECT_EQ(expected, call());
    EXPECT_EQ(expected, cudaGetLastError());
    expect_invalid(stream_);
  }

  cudaStream_t stream_ = nullptr, other_ = nullptr, blocking_ = nullptr;
  cudaEvent_t event_ = nullptr;
  int* pinned_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
  size_t nodes_ = 0;
  const OnDevice<int> memory_ = OnDevice<int>(std::vector<int>{0});
};

#endif  // TESTS_CPP_SHADOW_GRAPH_TEST_HPP_
