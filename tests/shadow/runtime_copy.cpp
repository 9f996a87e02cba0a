// The CUDA runtime's functions that copy and fill memory.
//
// Host memory is read and written when the copy runs, so that a program that changes it too early,
// or reads it too early, gets wrong values. So is pageable memory in cudaMemcpyAsync: CUDA may copy
// it aside during the call, and may wait for a copy to it, but need not. cudaMemcpy does both.

#include <cuda_runtime.h>

#include <cstring>
#include <memory>
#include <vector>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/host_memory.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

using shadow::Captures;
using shadow::Fault;
using shadow::Memory;
using shadow::note;
using shadow::Operation;
using shadow::OperationPtr;
using shadow::PinnedMemory;
using shadow::Queue;
using shadow::Use;

namespace {

/// Copies of at most this many bytes from pageable memory never make cudaMemcpyAsync wait.
constexpr size_t kStaged = 64 << 10;

uintptr_t number(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

bool is_device(const void* pointer) {
  return Memory::get().is_device(number(pointer));
}

bool fits(cudaMemcpyKind kind, bool to_device, bool from_device) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

void check_ends(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = is_device(to), from_device = is_device(from);
  if (!fits(kind, to_device, from_device)) {
    throw Fault("shadow device: a copy is not what its kind (" + std::to_string(kind) +
                ") says: it goes from " + (from_device ? "a device" : "the host") + " to " +
                (to_device ? "a device" : "the host"));
  }
  if (to_device) shadow::expect_on_device("a copy", to, bytes);
  if (from_device) shadow::expect_on_device("a copy", from, bytes);
}

void count(bool to_device, bool from_device, size_t bytes) {
  shadow::AtomicCounts& tallies = shadow::tallies();
  const int64_t size = static_cast<int64_t>(bytes);
  if (to_device && from_device) {
    ++tallies.copies_on_device;
    tallies.bytes_on_device += size;
  } else if (to_device) {
    ++tallies.copies_to_device;
    tallies.bytes_to_device += size;
  } else if (from_device) {
    ++tallies.copies_to_host;
    tallies.bytes_to_host += size;
    shadow::raise(&tallies.largest_to_host, size);
  }
}

OperationPtr copy_operation(void* to, const void* from, size_t bytes, bool is_async) {
  const OperationPtr operation = std::make_shared<Operation>();
  const bool to_device = is_device(to), from_device = is_device(from);
  operation->name = to_device ? (from_device ? "a copy on the device" : "a copy to the device")
                              : "a copy to the host";
  operation->device_of_memory = shadow::kAnyDevice;
  if (to_device) operation->pointers.push_back(number(to));
  if (from_device) operation->pointers.push_back(number(from));
  if (!to_device) operation->pinned.push_back({number(to), bytes});
  if (!from_device) operation->pinned.push_back({number(from), bytes});
  operation->run = [=](const Operation&) { std::memmove(to, from, bytes); };
  operation->computes = true;
  if (!to_device) operation->without_work = [=](const Operation&) { std::memset(to, 0, bytes); };
  if (!is_async && !from_device && !PinnedMemory::get().holds(number(from), bytes)) {
    const auto staged = std::make_shared<std::vector<char>>(static_cast<const char*>(from),
                                                            static_cast<const char*>(from) + bytes);
    operation->run = [=](const Operation&) { std::memcpy(to, staged->data(), bytes); };
  }
  return operation;
}

/// What a copy makes the host wait for.
struct Waits {
  bool before, after;
  bool counts;  // as a synchronisation
};

bool is_pageable(const void* host, size_t bytes) {
  return !is_device(host) && !PinnedMemory::get().holds(number(host), bytes);
}

Waits waits_of(const void* to, const void* from, size_t bytes, bool is_async) {
  const bool to_device = is_device(to), from_device = is_device(from);
  const bool to_pageable = is_pageable(to, bytes), from_pageable = is_pageable(from, bytes);
  if (to_pageable) return {false, !is_async, true};
  if (is_async) return {false, false, from_pageable && to_device && bytes > kStaged};
  if (from_pageable)
    return {true, !to_device, true};  // the stream first; the data may arrive later
  if (to_device && from_device) return {false, false, false};
  return {false, true, true};
}

/// What a copy is to a stream that is captured.
Use use_of(const Waits& waits, const void* to, const void* from, size_t bytes) {
  if (waits.before || waits.after || waits.counts) return Use::kWait;
  return is_pageable(to, bytes) || is_pageable(from, bytes) ? Use::kRefused : Use::kWork;
}

/// The memory of a GPU's pool belongs to that GPU alone.
void check_devices(const void* to, const void* from, int device) {
  for (const void* const end : {to, from}) {
    shadow::Block block;
    if (!Memory::get().find(number(end), &block) || block.device == device) continue;
    throw Fault("shadow device: cudaMemcpyAsync on a stream of device " + std::to_string(device) +
                " uses memory of device " + std::to_string(block.device) +
                ": only cudaMemcpyPeerAsync copies between devices");
  }
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream,
                 bool is_async) {
  cudaError_t error = shadow::state();
  if (error == cudaSuccess && shadow::running_operation() != nullptr) error = cudaErrorNotPermitted;
  if (error != cudaSuccess) return note(error);
  stream = Queue::get().stream_of(stream, shadow::current_device());
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  check_ends(to, from, bytes, kind);
  const Waits waits = waits_of(to, from, bytes, is_async);
  error = Captures::get().before(use_of(waits, to, from, bytes), stream);
  if (error != cudaSuccess) return note(error);
  count(is_device(to), is_device(from), bytes);
  if (waits.counts) ++shadow::tallies().synchronisations;
  if (waits.before) Queue::get().finish(Queue::get().last(stream));
  const OperationPtr operation =
      Queue::get().add(copy_operation(to, from, bytes, is_async), stream);
  if (waits.after) Queue::get().finish(operation);
  return note(shadow::state());
}

}  // namespace

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy(to, from, bytes, kind, nullptr, false);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const cudaStream_t on = Queue::get().stream_of(stream, shadow::current_device());
  if (on != nullptr) check_devices(to, from, on->device);
  return copy(to, from, bytes, kind, stream, true);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device,
                                size_t bytes, cudaStream_t stream) {
  check_devices(to, to, to_device);
  check_devices(from, from, from_device);
  return copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream, true);
}

cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  return cudaMemsetAsync(memory, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  cudaError_t error = shadow::state();
  if (error == cudaSuccess && shadow::running_operation() != nullptr) error = cudaErrorNotPermitted;
  if (error != cudaSuccess) return note(error);
  stream = Queue::get().stream_of(stream, shadow::current_device());
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  error = Captures::get().before(Use::kWork, stream);
  if (error != cudaSuccess) return note(error);
  shadow::expect_on_device("a fill", memory, bytes);
  ++shadow::tallies().fills;
  const OperationPtr operation = std::make_shared<Operation>();
  operation->name = "a fill";
  operation->device_of_memory = shadow::kAnyDevice;
  operation->pointers.push_back(number(memory));
  operation->run = [=](const Operation&) { std::memset(memory, value, bytes); };
  operation->computes = true;
  Queue::get().add(operation, stream);
  return cudaSuccess;
}
