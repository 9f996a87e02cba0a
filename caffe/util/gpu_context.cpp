#include "caffe/util/gpu_context.hpp"

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/util/gpu_error.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {

namespace {

/// Contexts whose thread has ended.
struct Idle {
  std::mutex mutex;
  std::vector<GpuContext*> contexts;

  static Idle& get() {
    static Idle& all = *new Idle();  // still there when the last thread ends
    return all;
  }
};

/// Whether the GPU has a pool, which then keeps the memory that is given back to it.
bool prepare_pool(int device) {
  int supported = 0;
  cudaMemPool_t pool = nullptr;
  uint64_t everything = UINT64_MAX;
  const bool works =
      cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, device) == cudaSuccess &&
      supported != 0 && cudaDeviceGetMemPool(&pool, device) == cudaSuccess &&
      cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &everything) == cudaSuccess;
  if (!works) cudaGetLastError();
  return works;
}

}  // namespace

OnDevice::OnDevice(int device) {
  const bool found = cudaGetDevice(&before_) == cudaSuccess;
  if (found && before_ == device) return;
  changed_ = found && cudaSetDevice(device) == cudaSuccess;
  if (!changed_) cudaGetLastError();
}

OnDevice::~OnDevice() {
  // A failure would be reported for the next launch, which has nothing to do with it.
  if (changed_ && cudaSetDevice(before_) != cudaSuccess) cudaGetLastError();
}

/// A thread's contexts, one per GPU that it has used.
struct GpuContext::OfThread {
  GpuContext* now = nullptr;
  std::map<int, GpuContext*> on;
  ~OfThread() {
    for (const auto& entry : on) entry.second->give_back();
    // `now` stays: what is freed after this object goes through the same stream.
  }
};

GpuContext::OfThread& GpuContext::of_this_thread() {
  static thread_local OfThread mine;
  return mine;
}

GpuContext* GpuContext::current_if_any() noexcept {
  return is_parents_gpu() ? nullptr : of_this_thread().now;
}

GpuContext& GpuContext::current() {
  enter_gpu();
  OfThread& mine = of_this_thread();
  int device = 0;
  check_gpu(cudaGetDevice(&device), "finding the thread's GPU");
  if (mine.now == nullptr || mine.now->device_ != device) {
    GpuContext*& here = mine.on[device];
    if (here == nullptr) here = take(device);
    mine.now = here;
    maap::set_current_stream(here->stream_);
  }
  return *mine.now;
}

GpuContext* GpuContext::take(int device) {
  {
    Idle& idle = Idle::get();
    const std::lock_guard<std::mutex> lock(idle.mutex);
    const auto last = std::find_if(idle.contexts.rbegin(), idle.contexts.rend(),
                                   [device](GpuContext* one) { return one->device_ == device; });
    if (last != idle.contexts.rend()) {
      GpuContext* const found = *last;
      idle.contexts.erase(std::next(last).base());
      return found;
    }
  }
  return new GpuContext(device);
}

void GpuContext::give_back() {
  if (is_parents_gpu()) return;
  for (Room* const room : {&workspace_, &operands_}) {
    release(room->memory);
    *room = Room();
  }
  ++rooms_made_;  // recorded work knows them
  Idle& idle = Idle::get();
  const std::lock_guard<std::mutex> lock(idle.mutex);
  idle.contexts.push_back(this);
}

GpuContext::GpuContext(int device) : device_(device), has_pool_(prepare_pool(device)) {
  check_gpu(cudaStreamCreateWithFlags(&stream_, cudaStreamDefault), "starting on the GPU");
  check_gpu(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "starting on the GPU");
}

device::Stream GpuContext::copy_stream() {
  if (copy_stream_ == nullptr) {
    check_gpu(cudaStreamCreateWithFlags(&copy_stream_, cudaStreamNonBlocking),
              "making a stream for copies");
  }
  return copy_stream_;
}

cublasContext* GpuContext::blas() {
  if (blas_ == nullptr) {
    cublasHandle_t made = nullptr;
    CUBLAS_CHECK(cublasCreate(&made));
    CUBLAS_CHECK(cublasSetStream(made, stream_));
    if (device::allows_tf32()) CUBLAS_CHECK(cublasSetMathMode(made, CUBLAS_TF32_TENSOR_OP_MATH));
    blas_ = made;
  }
  return blas_;
}

/// The size that cuBLAS's documentation gives for Hopper, the largest one.
void GpuContext::keep_blas_workspace() {
  constexpr size_t kBytes = size_t(32) << 20;
  if (blas_room_.memory != nullptr) return;
  CUBLAS_CHECK(cublasSetWorkspace(blas(), room(kBytes, &blas_room_), kBytes));
}

void* GpuContext::room(size_t bytes, Room* room) {
  if (bytes > room->bytes) {
    note_host_work("allocates GPU memory");
    release(room->memory);
    *room = Room();
    ++rooms_made_;  // also if there is no memory: recorded work knows the old room
    room->memory = allocate(bytes);
    room->bytes = bytes;
  }
  return room->memory;
}

/// Null if there is not enough memory.
void* GpuContext::try_to_allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status =
      has_pool_ ? cudaMallocAsync(&memory, bytes, stream_) : cudaMalloc(&memory, bytes);
  if (status == cudaSuccess) return memory;
  cudaGetLastError();
  if (status != cudaErrorMemoryAllocation) check_gpu(status, "allocating memory on the GPU");
  return nullptr;
}

/// Bytes that the pool has and nobody uses.
size_t GpuContext::kept_bytes() const {
  cudaMemPool_t pool = nullptr;
  uint64_t reserved = 0, used = 0;
  if (has_pool_ && cudaDeviceGetMemPool(&pool, device_) == cudaSuccess &&
      cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved) == cudaSuccess &&
      cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used) == cudaSuccess) {
    return reserved > used ? static_cast<size_t>(reserved - used) : 0;
  }
  cudaGetLastError();
  return 0;
}

void* GpuContext::allocate(size_t bytes) {
  void* memory = try_to_allocate(bytes);
  if (memory != nullptr) return memory;
  // What other streams have not yet given back, and pieces of the wrong size.
  check_gpu(cudaDeviceSynchronize(), "waiting for memory on the GPU");
  cudaMemPool_t pool = nullptr;
  if (kept_bytes() > 0 && cudaDeviceGetMemPool(&pool, device_) == cudaSuccess) {
    cudaMemPoolTrimTo(pool, 0);
    memory = try_to_allocate(bytes);
  }
  if (memory != nullptr) return memory;
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  cudaGetLastError();
  std::ostringstream text;
  text << "cannot allocate " << bytes << " bytes (" << bytes / 1000000 << " MB) on GPU " << device_
       << ": out of memory; " << free / 1000000 << " of its " << total / 1000000
       << " MB are free: use a smaller batch_size, or see what else uses this GPU (nvidia-smi)";
  throw OutOfMemory(text.str());
}

void GpuContext::release(void* memory) noexcept {
  if (memory == nullptr) return;
  const cudaError_t status = has_pool_ ? cudaFreeAsync(memory, stream_) : cudaFree(memory);
  if (status != cudaSuccess) cudaGetLastError();  // the process ends, or an earlier error was told
}

bool GpuContext::finish() noexcept {
  if (is_recording_) return false;
  bool done = cudaStreamSynchronize(stream_) == cudaSuccess;
  if (copy_stream_ != nullptr) done = cudaStreamSynchronize(copy_stream_) == cudaSuccess && done;
  if (!done) cudaGetLastError();
  return done;
}

void GpuContext::let_wait(device::Stream stream) {
  note_host_work("works with other streams");
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_recording_) mark();
  check_gpu(cudaStreamWaitEvent(stream, event_, 0), "waiting for another stream");
}

/// The mutex is locked.
void GpuContext::mark() {
  const OnDevice here(device_);
  check_gpu(cudaEventRecord(event_, stream_), "marking a place in a stream");
}

void GpuContext::begin_recording() {
  const std::lock_guard<std::mutex> lock(mutex_);
  mark();
  // Other threads may allocate memory meanwhile.
  check_gpu(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
            "recording work for the GPU");
  is_recording_ = true;
}

void GpuContext::has_recorded() {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_recording_ = false;
}

}  // namespace caffe
