#include "caffe/syncedmem.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "caffe/util/device.hpp"
#include "caffe/util/reorder_count.hpp"

namespace caffe {

constexpr size_t SyncedMemory::kAlignment;

SyncedMemory::~SyncedMemory() {
  release(&cpu_);
  release(&gpu_);
}

const void* SyncedMemory::cpu_data() {
  to_cpu();
  return cpu_.memory;
}

const void* SyncedMemory::gpu_data() {
  to_gpu();
  return gpu_.memory;
}

void* SyncedMemory::mutable_cpu_data() {
  to_cpu();
  head_ = HEAD_AT_CPU;
  foreign_is_current_ = false;
  return cpu_.memory;
}

void* SyncedMemory::mutable_gpu_data() {
  to_gpu();
  head_ = HEAD_AT_GPU;
  foreign_is_current_ = false;
  return gpu_.memory;
}

void SyncedMemory::set_cpu_data(void* data) {
  CAFFE_CHECK(data != nullptr, "set_cpu_data: the pointer is null");
  release(&cpu_);
  cpu_.memory = data;
  head_ = HEAD_AT_CPU;
  foreign_is_current_ = false;
}

void SyncedMemory::set_gpu_data(void* data) {
  CAFFE_CHECK(data != nullptr, "set_gpu_data: the pointer is null");
  release(&gpu_);
  gpu_.memory = data;
  head_ = HEAD_AT_GPU;
  foreign_is_current_ = false;
}

void SyncedMemory::foreign_written(std::shared_ptr<ForeignCopy> copy) {
  CAFFE_CHECK(copy != nullptr, "foreign_written: the copy is null");
  foreign_ = std::move(copy);
  foreign_is_current_ = true;
  head_ = HEAD_AT_FOREIGN;
}

void SyncedMemory::foreign_matches(std::shared_ptr<ForeignCopy> copy) {
  CAFFE_CHECK(copy != nullptr, "foreign_matches: the copy is null");
  CAFFE_CHECK(head_ != UNINITIALIZED, "foreign_matches: the block has no values yet");
  foreign_ = std::move(copy);
  foreign_is_current_ = true;
}

/// HEAD_AT_FOREIGN becomes HEAD_AT_CPU; every other state stays.
void SyncedMemory::to_plain() {
  if (head_ != HEAD_AT_FOREIGN) return;
  if (cpu_.memory == nullptr) {
    allocate_cpu();
    std::memset(cpu_.memory, 0, size_);
  }
  foreign_->copy_to(cpu_.memory);
  count_reorder();
  head_ = HEAD_AT_CPU;
}

void SyncedMemory::to_cpu() {
  to_plain();
  if (head_ == HEAD_AT_CPU || head_ == SYNCED) return;
  if (cpu_.memory == nullptr) allocate_cpu();
  if (head_ == UNINITIALIZED) {
    std::memset(cpu_.memory, 0, size_);
    head_ = HEAD_AT_CPU;
  } else {
    device::copy(cpu_.memory, gpu_.memory, size_);
    head_ = SYNCED;
  }
}

void SyncedMemory::to_gpu() {
  to_plain();
  if (head_ == HEAD_AT_GPU || head_ == SYNCED) return;
  if (gpu_.memory == nullptr) allocate_gpu();
  if (head_ == UNINITIALIZED) {
    device::fill_zero(gpu_.memory, size_);
    head_ = HEAD_AT_GPU;
  } else {
    device::copy(gpu_.memory, cpu_.memory, size_);
    head_ = SYNCED;
  }
}

void SyncedMemory::allocate_cpu() {
  const size_t bytes = std::max(size_, kAlignment);  // an empty block has an address, too
  if (Caffe::mode() == Caffe::GPU) {
    cpu_.memory = device::allocate_pinned(bytes);
    cpu_.owner = Owner::kPinned;
    return;
  }
  const int failed = posix_memalign(&cpu_.memory, kAlignment, bytes);
  if (failed != 0) cpu_.memory = nullptr;
  CAFFE_CHECK(failed == 0, "cannot allocate " << size_ << " bytes of memory: use a smaller "
                                              << "batch_size, or free memory on this machine");
  cpu_.owner = Owner::kHeap;
}

void SyncedMemory::allocate_gpu() {
  gpu_.memory = device::allocate(std::max(size_, kAlignment));
  gpu_.owner = Owner::kGpu;
}

void SyncedMemory::release(Copy* copy) {
  if (copy->owner == Owner::kHeap) std::free(copy->memory);
  if (copy->owner == Owner::kPinned) device::release_pinned(copy->memory);
  if (copy->owner == Owner::kGpu) device::release(copy->memory);
  *copy = Copy();
}

}  // namespace caffe
