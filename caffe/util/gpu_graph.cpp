// Graphs in a build with CUDA.

#include "caffe/util/gpu_graph.hpp"

#include <cuda_runtime.h>

#include "caffe/util/error.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"

namespace caffe {
namespace device {

void Graph::prepare() {
  GpuContext::current().keep_blas_workspace();
}

void Graph::begin() {
  GpuContext::current().begin_recording();
}

std::unique_ptr<Graph> Graph::end() {
  GpuContext& mine = GpuContext::current();
  cudaGraph_t recorded = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(mine.stream(), &recorded);
  mine.has_recorded();
  check_gpu(ended, "recording work for the GPU");
  std::unique_ptr<Graph> graph(new Graph);
  graph->context_ = &mine;
  graph->gpu_ = mine.device();
  graph->rooms_ = mine.rooms_made();
  cudaGraphExec_t work = nullptr;
  cudaError_t status = cudaGraphGetNodes(recorded, nullptr, &graph->size_);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&work, recorded, 0);
  cudaGraphDestroy(recorded);
  check_gpu(status, "preparing recorded work for the GPU");
  graph->work_ = work;
  return graph;
}

void Graph::abandon() noexcept {
  try {
    const Stream stream = GpuContext::current().stream();
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    if (cudaStreamIsCapturing(stream, &status) == cudaSuccess &&
        status != cudaStreamCaptureStatusNone) {
      cudaGraph_t recorded = nullptr;
      if (cudaStreamEndCapture(stream, &recorded) == cudaSuccess) cudaGraphDestroy(recorded);
    }
    GpuContext::current().has_recorded();
  } catch (const Error&) {  // the GPU has failed, which the next call will say
  }
  cudaGetLastError();
}

/// A launch may still be running.
Graph::~Graph() {
  if (work_ == nullptr || is_parents_gpu()) return;
  try {
    const OnDevice here(gpu_);
    wait();
  } catch (const Error&) {
  }
  if (cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(work_)) != cudaSuccess) cudaGetLastError();
}

void Graph::launch() const {
  check_gpu(cudaGraphLaunch(static_cast<cudaGraphExec_t>(work_), GpuContext::current().stream()),
            "repeating recorded work on the GPU");
}

bool Graph::is_stale() const {
  const GpuContext& mine = GpuContext::current();
  return &mine != context_ || mine.rooms_made() != rooms_;
}

}  // namespace device
}  // namespace caffe
