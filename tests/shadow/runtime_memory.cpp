// The CUDA runtime's functions that allocate and free memory.

#include <cuda_runtime.h>

#include <cstdlib>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/faults.hpp"
#include "tests/shadow/host_memory.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

using shadow::Block;
using shadow::Captures;
using shadow::Memory;
using shadow::note;
using shadow::Operation;
using shadow::OperationPtr;
using shadow::PinnedMemory;
using shadow::Queue;
using shadow::ready;
using shadow::Use;

struct CUmemPoolHandle_st {
  std::atomic<unsigned long long> release_threshold{0};
  std::atomic<int> reuse[4] = {{1}, {1}, {1}, {1}};  // by attribute
};

namespace {

constexpr int kMostDevices = 16;
std::atomic<int64_t> in_use[kMostDevices];  // bytes, by device
CUmemPoolHandle_st pools[kMostDevices];

/// For calls that may wait for the device.
cudaError_t ready_to_wait() {
  const cudaError_t error = ready();
  return error != cudaSuccess ? error : Captures::get().before_unsafe_call();
}

uintptr_t number(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

/// Takes bytes from a device's memory; false if it has no more.
bool take(int device, size_t bytes) {
  const int64_t size = static_cast<int64_t>(bytes);
  if (in_use[device] + size > static_cast<int64_t>(shadow::settings().memory)) return false;
  in_use[device] += size;
  shadow::raise(&shadow::tallies().memory_peak, shadow::tallies().memory_in_use += size);
  return true;
}

void give_back(int device, size_t bytes) {
  in_use[device] -= static_cast<int64_t>(bytes);
  shadow::tallies().memory_in_use -= static_cast<int64_t>(bytes);
}

cudaError_t allocate(void** memory, size_t bytes, Block::State state) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  shadow::install_fault_handler();
  ++shadow::tallies().allocations;
  const int device = shadow::current_device();
  if (shadow::is_due(&shadow::settings().failing_allocation) || !take(device, bytes)) {
    return note(cudaErrorMemoryAllocation);
  }
  *memory = reinterpret_cast<void*>(Memory::get().allocate(bytes, device, state));
  if (*memory != nullptr) return cudaSuccess;
  give_back(device, bytes);
  return note(cudaErrorMemoryAllocation);
}

cudaError_t allocate_pinned(void** memory, size_t bytes) {
  const cudaError_t error = ready_to_wait();
  if (error != cudaSuccess) return note(error);
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  ++shadow::tallies().pinned_allocations;
  if (posix_memalign(memory, shadow::page_bytes(), bytes) != 0)
    return note(cudaErrorMemoryAllocation);
  shadow::fill_with_pattern(*memory, bytes);
  PinnedMemory::get().add(number(*memory), bytes);
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  const cudaError_t error = ready_to_wait();
  return error != cudaSuccess ? note(error) : allocate(memory, bytes, Block::kLive);
}

cudaError_t cudaFree(void* memory) {
  cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  if (memory == nullptr) return cudaSuccess;
  error = Captures::get().before_unsafe_call();
  if (error != cudaSuccess) return note(error);
  int device = 0;
  const size_t bytes = Memory::get().release(number(memory), &device);
  if (bytes == 0) return note(cudaErrorInvalidValue);
  give_back(device, bytes);
  ++shadow::tallies().synchronisations;  // as the vendor's does
  Queue::get().finish_device(device);
  Memory::get().end_life(number(memory));
  return note(shadow::state());
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream) {
  cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  stream = Queue::get().stream_of(stream, shadow::current_device());
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  error = Captures::get().before(Use::kRefused, stream);
  if (error != cudaSuccess) return note(error);
  error = allocate(memory, bytes, Block::kPlanned);
  if (error != cudaSuccess || *memory == nullptr) return error;
  const uintptr_t address = number(*memory);
  const OperationPtr operation = std::make_shared<Operation>();
  operation->name = "cudaMallocAsync";
  operation->run = [address](const Operation&) { Memory::get().begin_life(address); };
  Queue::get().add(operation, stream);
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  if (memory == nullptr) return cudaSuccess;
  stream = Queue::get().stream_of(stream, shadow::current_device());
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  error = Captures::get().before(Use::kRefused, stream);
  if (error != cudaSuccess) return note(error);
  int device = 0;
  const size_t bytes = Memory::get().release(number(memory), &device);
  if (bytes == 0) return note(cudaErrorInvalidValue);
  give_back(device, bytes);
  const uintptr_t address = number(memory);
  const OperationPtr operation = std::make_shared<Operation>();
  operation->name = "cudaFreeAsync";
  operation->run = [address](const Operation&) { Memory::get().end_life(address); };
  Queue::get().add(operation, stream);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  *total = shadow::settings().memory;
  const size_t used = static_cast<size_t>(in_use[shadow::current_device()].load());
  *free = used < *total ? *total - used : 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  const cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  if (device < 0 || device >= shadow::settings().devices) return note(cudaErrorInvalidDevice);
  *pool = &pools[device];
  return cudaSuccess;
}

/// Nobody can set another one here.
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
  return cudaDeviceGetDefaultMemPool(pool, device);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (pool == nullptr || value == nullptr) return note(cudaErrorInvalidValue);
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      pool->reuse[attribute] = *static_cast<int*>(value);
      return cudaSuccess;
    case cudaMemPoolAttrReleaseThreshold:
      pool->release_threshold = *static_cast<unsigned long long*>(value);
      return cudaSuccess;
    default:
      return note(cudaErrorInvalidValue);
  }
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (pool == nullptr || value == nullptr) return note(cudaErrorInvalidValue);
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      *static_cast<int*>(value) = pool->reuse[attribute];
      return cudaSuccess;
    case cudaMemPoolAttrReleaseThreshold:
      *static_cast<unsigned long long*>(value) = pool->release_threshold;
      return cudaSuccess;
    case cudaMemPoolAttrReservedMemHigh:
    case cudaMemPoolAttrUsedMemHigh:
      *static_cast<unsigned long long*>(value) = shadow::counts().memory_peak;
      return cudaSuccess;
    default:
      *static_cast<unsigned long long*>(value) = in_use[pool - pools];
      return cudaSuccess;
  }
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t) {
  return note(pool == nullptr ? cudaErrorInvalidValue : cudaSuccess);
}

cudaError_t cudaMallocHost(void** memory, size_t bytes, unsigned) {
  return allocate_pinned(memory, bytes);
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  return allocate_pinned(memory, bytes);
}

cudaError_t cudaFreeHost(void* memory) {
  cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  if (memory == nullptr) return cudaSuccess;
  error = Captures::get().before_unsafe_call();
  if (error != cudaSuccess) return note(error);
  ++shadow::tallies().synchronisations;  // as the vendor's does
  Queue::get().finish_device(shadow::current_device());
  if (!PinnedMemory::get().remove(number(memory))) return note(cudaErrorInvalidValue);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, size_t bytes, unsigned) {
  const cudaError_t error = ready_to_wait();
  if (error != cudaSuccess) return note(error);
  if (memory == nullptr || bytes == 0 || Memory::get().is_device(number(memory))) {
    return note(cudaErrorInvalidValue);
  }
  const bool added = PinnedMemory::get().add(number(memory), bytes);
  return note(added ? cudaSuccess : cudaErrorHostMemoryAlreadyRegistered);
}

cudaError_t cudaHostUnregister(void* memory) {
  const cudaError_t error = ready_to_wait();
  if (error != cudaSuccess) return note(error);
  Queue::get().finish_device(shadow::current_device());
  return note(PinnedMemory::get().remove(number(memory)) ? cudaSuccess
                                                         : cudaErrorHostMemoryNotRegistered);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const cudaError_t error = ready();
  if (error != cudaSuccess) return note(error);
  *attributes = cudaPointerAttributes();
  void* const address = const_cast<void*>(pointer);
  Block block;
  if (Memory::get().find(number(pointer), &block) && !block.released) {
    attributes->type = cudaMemoryTypeDevice;
    attributes->device = block.device;
    attributes->devicePointer = address;
  } else if (PinnedMemory::get().holds(number(pointer), 1)) {
    attributes->type = cudaMemoryTypeHost;
    attributes->device = shadow::current_device();
    attributes->devicePointer = attributes->hostPointer = address;
  } else {
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;  // cudaInvalidDeviceId
    attributes->hostPointer = address;
  }
  return cudaSuccess;
}
