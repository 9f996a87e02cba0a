// The CUDA runtime's functions about streams and events.

#include <cuda_runtime.h>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

using shadow::Captures;
using shadow::note;
using shadow::Operation;
using shadow::OperationPtr;
using shadow::Queue;
using shadow::ready;
using shadow::Use;

namespace {

/// A stream of the current device in *stream that can be used so, or why there is none.
cudaError_t find_stream(cudaStream_t* stream, Use use) {
  const cudaError_t error = shadow::find_stream(stream);
  return error != cudaSuccess ? error : Captures::get().before(use, *stream);
}

cudaError_t is_done(const OperationPtr& operation, int device) {
  if (!Queue::get().is_done(operation)) Queue::get().make_progress(device);
  if (shadow::state() != cudaSuccess) return shadow::state();
  return Queue::get().is_done(operation) ? cudaSuccess : cudaErrorNotReady;
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  cudaError_t error = ready();
  if (error == cudaSuccess && flags > cudaStreamNonBlocking) error = cudaErrorInvalidValue;
  if (error != cudaSuccess) return note(error);
  *stream = Queue::get().create(shadow::current_device(), flags == cudaStreamDefault);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  cudaError_t error = ready();
  if (error == cudaSuccess) error = Captures::get().before_destroy(stream);
  if (error != cudaSuccess) return note(error);
  return note(Queue::get().destroy(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const cudaError_t error = find_stream(&stream, Use::kWait);
  if (error != cudaSuccess) return note(error);
  ++shadow::tallies().synchronisations;
  Queue::get().finish(Queue::get().last(stream));
  return note(shadow::state());
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const cudaError_t error = find_stream(&stream, Use::kWait);
  if (error != cudaSuccess) return note(error);
  return note(is_done(Queue::get().last(stream), shadow::current_device()));
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  cudaError_t error = find_stream(&stream, Use::kDependency);
  if (error == cudaSuccess && event == nullptr) error = cudaErrorInvalidResourceHandle;
  if (error == cudaSuccess && flags != 0) error = cudaErrorInvalidValue;
  if (error != cudaSuccess) return note(error);
  Queue::get().wait_in_stream(stream, event->recorded);
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* user_data) {
  cudaError_t error = find_stream(&stream, Use::kRefused);
  if (error == cudaSuccess && function == nullptr) error = cudaErrorInvalidValue;
  if (error != cudaSuccess) return note(error);
  const OperationPtr operation = std::make_shared<Operation>();
  operation->name = "a host function";
  operation->is_host_function = true;
  operation->run = [function, user_data](const Operation&) { function(user_data); };
  Queue::get().add(operation, stream);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  *event = new CUevent_st{shadow::current_device(), (flags & cudaEventDisableTiming) == 0, nullptr};
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return note(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  cudaError_t error = find_stream(&stream, Use::kRefused);
  if (error == cudaSuccess && (event == nullptr || event->device != stream->device)) {
    error = cudaErrorInvalidResourceHandle;
  }
  if (error != cudaSuccess) return note(error);
  const OperationPtr operation = std::make_shared<Operation>();
  operation->name = "the record of an event";
  operation->run = [](const Operation&) {};
  event->recorded = Queue::get().add(operation, stream);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  cudaError_t error = ready();
  if (error == cudaSuccess && event == nullptr) error = cudaErrorInvalidResourceHandle;
  if (error == cudaSuccess) error = Captures::get().before_unsafe_call();
  if (error != cudaSuccess) return note(error);
  return note(is_done(event->recorded, event->device));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  cudaError_t error = ready();
  if (error == cudaSuccess && event == nullptr) error = cudaErrorInvalidResourceHandle;
  if (error == cudaSuccess) error = Captures::get().before_unsafe_call();
  if (error != cudaSuccess) return note(error);
  ++shadow::tallies().synchronisations;
  Queue::get().finish(event->recorded);
  return note(shadow::state());
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  for (const cudaEvent_t event : {start, end}) {
    if (event == nullptr || !event->has_time || event->recorded == nullptr) {
      return note(cudaErrorInvalidResourceHandle);
    }
    if (!Queue::get().is_done(event->recorded)) return note(cudaErrorNotReady);
  }
  *milliseconds =
      static_cast<float>(1e3 * (end->recorded->finished_at - start->recorded->finished_at));
  return cudaSuccess;
}
