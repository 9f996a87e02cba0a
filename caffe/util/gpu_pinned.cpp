// The functions of device.hpp for pinned memory of the host in a build with CUDA.

#include "caffe/util/gpu_pinned.hpp"

#include <cuda_runtime.h>

#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>

#include "caffe/util/device.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {
namespace device {

namespace {

std::atomic<int> ranks{0};

/// Pinned memory that was given back while there were several ranks.
class SparePinned {
 public:
  static SparePinned& get() {
    static SparePinned& all = *new SparePinned();  // memory is given back when the process ends
    return all;
  }

  void made(void* memory, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bytes_[memory] = bytes;
  }
  /// Null if nothing fits.
  void* take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = spare_.lower_bound(bytes);
    if (found == spare_.end() || found->first / 2 > bytes) return nullptr;
    void* const memory = found->second;
    spare_.erase(found);
    return memory;
  }
  /// Whether it was kept.
  bool keep(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = bytes_.find(memory);
    if (found == bytes_.end()) return false;
    spare_.emplace(found->second, memory);
    return true;
  }
  void freed(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bytes_.erase(memory);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<void*, size_t> bytes_;  // of all pinned memory that the engine has
  std::multimap<size_t, void*> spare_;
};

}  // namespace

void* allocate_pinned(size_t bytes) {
  note_host_work("allocates pinned memory");
  enter_gpu();
  void* memory = SparePinned::get().take(bytes);
  if (memory != nullptr) return memory;
  check_gpu(cudaMallocHost(&memory, bytes), "allocating pinned memory");
  SparePinned::get().made(memory, bytes);
  return memory;
}

void release_pinned(void* memory) noexcept {
  if (memory == nullptr || is_parents_gpu()) return;
  if (ranks > 1) {  // it waits for the thread's own streams alone
    GpuContext* const mine = GpuContext::current_if_any();
    if ((mine == nullptr || mine->finish()) && SparePinned::get().keep(memory)) return;
  }
  SparePinned::get().freed(memory);
  if (cudaFreeHost(memory) != cudaSuccess) cudaGetLastError();
}

bool pin(void* memory, size_t bytes) noexcept {
  if (is_parents_gpu() || ranks > 1) return false;
  if (cudaHostRegister(memory, bytes, cudaHostRegisterPortable) == cudaSuccess) return true;
  cudaGetLastError();
  return false;
}

void unpin(void* memory) noexcept {
  if (is_parents_gpu()) return;
  if (cudaHostUnregister(memory) != cudaSuccess) cudaGetLastError();
}

}  // namespace device

RankOfProcess::RankOfProcess() {
  ++device::ranks;
}

RankOfProcess::~RankOfProcess() {
  --device::ranks;
}

}  // namespace caffe
