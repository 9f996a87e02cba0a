#include "caffe/syncedmem.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "caffe/util/device.hpp"
#include "caffe/util/reorder_count.hpp"

namespace caffe {

constexpr size_t SyncedMemory::kAlignment;

namespace {

void leave_alone(void*) {}

}  // namespace

const void* SyncedMemory::cpu_data() {
  to_cpu();
  return cpu_.get();
}

const void* SyncedMemory::gpu_data() {
  to_gpu();
  return gpu_.get();
}

void* SyncedMemory::mutable_cpu_data() {
  to_cpu();
  head_ = HEAD_AT_CPU;
  foreign_is_current_ = false;
  return cpu_.get();
}

void* SyncedMemory::mutable_gpu_data() {
  to_gpu();
  head_ = HEAD_AT_GPU;
  foreign_is_current_ = false;
  return gpu_.get();
}

void SyncedMemory::async_gpu_push(CUstream_st* const&) {
  to_gpu();
}

void SyncedMemory::set_cpu_data(const std::shared_ptr<void>& data) {
  CAFFE_CHECK(data != nullptr, "set_cpu_data: the pointer is null");
  cpu_ = data;
  head_ = HEAD_AT_CPU;
  foreign_is_current_ = false;
}

void SyncedMemory::set_cpu_data(void* data) {
  set_cpu_data(std::shared_ptr<void>(data, leave_alone));
}

void SyncedMemory::set_gpu_data(void* data) {
  set_gpu_data(std::shared_ptr<void>(data, leave_alone));
}

void SyncedMemory::set_gpu_data(const std::shared_ptr<void>& data) {
  CAFFE_CHECK(data != nullptr, "set_gpu_data: the pointer is null");
  gpu_ = data;
  head_ = HEAD_AT_GPU;
  foreign_is_current_ = false;
}

const std::shared_ptr<void>& SyncedMemory::share_cpu_data() {
  mutable_cpu_data();
  return cpu_;
}

const std::shared_ptr<void>& SyncedMemory::share_gpu_data() {
  gpu_data();
  return gpu_;
}

void SyncedMemory::foreign_written(std::shared_ptr<ForeignCopy> copy) {
  CAFFE_CHECK(copy != nullptr, "foreign_written: the copy is null");
  foreign_ = std::move(copy);
  foreign_is_current_ = true;
  head_ = HEAD_AT_FOREIGN;
  if (is_held()) mutable_cpu_data();
}

/// HEAD_AT_FOREIGN becomes HEAD_AT_CPU; other states do not change.
void SyncedMemory::to_plain() {
  if (head_ != HEAD_AT_FOREIGN) return;
  if (cpu_ == nullptr) {
    allocate_cpu();
    std::memset(cpu_.get(), 0, size_);
  }
  foreign_->copy_to(cpu_.get());
  count_reorder();
  head_ = HEAD_AT_CPU;
}

void SyncedMemory::to_cpu() {
  to_plain();
  if (head_ == HEAD_AT_CPU || head_ == SYNCED) return;
  if (cpu_ == nullptr) allocate_cpu();
  if (head_ == UNINITIALIZED) {
    std::memset(cpu_.get(), 0, size_);
    head_ = HEAD_AT_CPU;
  } else {
    device::copy(cpu_.get(), gpu_.get(), size_);
    head_ = SYNCED;
  }
}

void SyncedMemory::to_gpu() {
  to_plain();
  if (head_ == HEAD_AT_GPU || head_ == SYNCED) return;
  if (gpu_ == nullptr) allocate_gpu();
  if (head_ == UNINITIALIZED) {
    device::fill_zero(gpu_.get(), size_);
    head_ = HEAD_AT_GPU;
  } else {
    device::copy(gpu_.get(), cpu_.get(), size_);
    head_ = SYNCED;
  }
}

void SyncedMemory::allocate_cpu() {
  void* memory = nullptr;
  bool pinned = false;
  CaffeMallocHost(&memory, size_, &pinned);
  cpu_.reset(memory, [pinned](void* mine) { CaffeFreeHost(mine, pinned); });
}

void SyncedMemory::allocate_gpu() {
  gpu_.reset(device::allocate(std::max(size_, kAlignment)), device::release);
}

void CaffeMallocHost(void** ptr, size_t size, bool* use_cuda) {
  constexpr size_t kAlignment = SyncedMemory::kAlignment;
  const size_t bytes = std::max(size, kAlignment);  // even an empty block gets an address
  *use_cuda = Caffe::mode() == Caffe::GPU;
  if (*use_cuda) {
    *ptr = device::allocate_pinned(bytes);
    return;
  }
  CAFFE_CHECK(posix_memalign(ptr, kAlignment, bytes) == 0,
              "cannot allocate " << size << " bytes of memory: use a smaller batch_size, or free "
                                 << "memory on this machine");
}

void CaffeFreeHost(void* ptr, bool use_cuda) {
  if (use_cuda) {
    device::release_pinned(ptr);
  } else {
    std::free(ptr);
  }
}

}  // namespace caffe
