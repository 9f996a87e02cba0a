// The CUDA runtime's functions about graphs, which come from captured streams only.

#include <cuda_runtime.h>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/host_memory.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

using shadow::Captures;
using shadow::Fault;
using shadow::find_stream;
using shadow::note;
using shadow::Operation;
using shadow::OperationPtr;
using shadow::Queue;
using shadow::ready;

struct CUgraph_st {
  int device;
  std::vector<OperationPtr> operations;
};

struct CUgraphExec_st {
  CUgraph_st graph;   // its own, as the vendor's
  OperationPtr last;  // of the newest launch
};

namespace {

/// Throws a Fault if the memory that a captured operation needs is gone.
void check_memory(const Operation& operation) {
  shadow::Memory& memory = shadow::Memory::get();
  for (const uintptr_t pointer : operation.pointers) {
    shadow::Block block;
    if (!memory.is_device(pointer) || (memory.find(pointer, &block) && !block.released)) continue;
    throw Fault("shadow device: a graph holds, for " + operation.name + ", " +
                memory.describe(pointer));
  }
  for (const auto& [begin, bytes] : operation.pinned) {
    if (shadow::PinnedMemory::get().holds(begin, bytes)) continue;
    throw Fault("shadow device: a graph holds, for " + operation.name +
                ", memory of the host that is not pinned any more");
  }
}

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  cudaError_t error = find_stream(&stream);
  const bool known = mode == cudaStreamCaptureModeGlobal ||
                     mode == cudaStreamCaptureModeThreadLocal ||
                     mode == cudaStreamCaptureModeRelaxed;
  if (error == cudaSuccess && !known) error = cudaErrorInvalidValue;
  if (error == cudaSuccess) error = Captures::get().begin(stream, mode);
  return note(error);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (graph == nullptr) return note(cudaErrorInvalidValue);
  *graph = nullptr;
  cudaError_t error = find_stream(&stream);
  // With a sticky error nothing comes of it, but the capture ends.
  if (error != cudaSuccess && shadow::state() != cudaSuccess) Captures::get().drop(stream);
  if (error != cudaSuccess) return note(error);
  std::vector<OperationPtr> operations;
  error = Captures::get().end(stream, &operations);
  if (error == cudaSuccess) *graph = new CUgraph_st{stream->device, std::move(operations)};
  return note(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  cudaError_t error = find_stream(&stream);
  if (error == cudaSuccess && status == nullptr) error = cudaErrorInvalidValue;
  if (error == cudaSuccess) error = Captures::get().status(stream, status);
  return note(error);
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  if (graph == nullptr || count == nullptr) return note(cudaErrorInvalidValue);
  const size_t known = graph->operations.size();
  if (nodes == nullptr) {
    *count = known;
    return cudaSuccess;
  }
  for (size_t i = 0; i < *count; ++i) {
    nodes[i] = i < known ? reinterpret_cast<cudaGraphNode_t>(graph->operations[i].get()) : nullptr;
  }
  if (*count > known) *count = known;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long flags) {
  cudaError_t error = ready();
  if (error == cudaSuccess && (exec == nullptr || graph == nullptr || flags != 0)) {
    error = cudaErrorInvalidValue;
  }
  if (error != cudaSuccess) return note(error);
  *exec = new CUgraphExec_st{*graph, nullptr};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  cudaError_t error = find_stream(&stream);
  if (error == cudaSuccess && exec == nullptr) error = cudaErrorInvalidValue;
  if (error == cudaSuccess) error = Captures::get().before(shadow::Use::kRefused, stream);
  if (error != cudaSuccess) return note(error);
  if (stream->device != exec->graph.device) {
    throw Fault("shadow device: a graph of device " + std::to_string(exec->graph.device) +
                " is launched on device " + std::to_string(stream->device));
  }
  for (const OperationPtr& operation : exec->graph.operations) check_memory(*operation);
  ++shadow::tallies().graph_launches;
  exec->last = Queue::get().add_copies(exec->graph.operations, stream, exec->last);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (graph == nullptr) return note(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  if (exec == nullptr) return note(cudaErrorInvalidValue);
  delete exec;
  return cudaSuccess;
}
