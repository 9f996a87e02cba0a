// What recorded work on a GPU asks of a block of memory (caffe/solver_graph.hpp).

#include <algorithm>

#include "caffe/syncedmem.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {

void SyncedMemory::note_use(bool writes) const {
  GpuTrace* const trace = GpuTrace::current();
  if (trace != nullptr) trace->uses(const_cast<SyncedMemory*>(this), writes);
}

void SyncedMemory::note_host_read() const {
  GpuTrace* const trace = GpuTrace::current();
  if (trace != nullptr) trace->reads_on_host(const_cast<SyncedMemory*>(this));
}

/// A block that is on the host alone is no business of the GPU's.
void SyncedMemory::note_host_write() const {
  if (head_ == UNINITIALIZED || head_ == HEAD_AT_CPU) return;
  note_host_work("writes values on the host");
}

SyncedMemory::State SyncedMemory::state() const {
  const void* const foreign_memory = foreign_ == nullptr ? nullptr : foreign_->address();
  return {head_, gpu_.get(), foreign_.get(), foreign_memory, foreign_is_current_, twin_};
}

bool SyncedMemory::make_ready(const State& before) {
  const State now = state();
  if (now.gpu != before.gpu || now.foreign != before.foreign ||
      now.foreign_memory != before.foreign_memory ||
      now.foreign_is_current != before.foreign_is_current) {
    return false;
  }
  if (now.head != before.head) {
    if (!is_on_gpu(before.head) || now.head == UNINITIALIZED || now.head == HEAD_AT_FOREIGN) {
      return false;
    }
    if (now.head == HEAD_AT_CPU) to_gpu();
  }
  wait_for_others();
  return true;
}

void SyncedMemory::wait_for_others() {
  if (usage_ != nullptr) device::before_writing(usage_.get());
}

/// What was only read may be newer on the GPU by now than it was then.
void SyncedMemory::has_become(const State& before, const State& after, bool written) {
  if (written || !is_on_gpu(before.head)) head_ = after.head;
  foreign_is_current_ = after.foreign_is_current;
  twin_ = after.twin.lock();
}

void SyncedMemory::undo_to(const State& before) {
  head_ = before.head;
  foreign_is_current_ = before.foreign_is_current;
  twin_ = before.twin.lock();
}

void SyncedMemory::watch_life(const std::shared_ptr<bool>& alive) {
  if (alive_ != nullptr && alive_ != alive) *alive_ = false;
  alive_ = alive;
}

void SyncedMemory::land_on_gpu(std::shared_ptr<void>* room) {
  if (!gpu_is_given_ || !is_on_gpu() || gpu_ == *room) return;
  if (*room == nullptr) {
    *room = std::shared_ptr<void>(device::allocate(std::max(size_, kAlignment)), device::release);
  }
  const std::shared_ptr<GpuUsage> usage = device::usage_of(room->get());
  if (usage_ != nullptr) device::before_reading(usage_.get());
  if (usage != nullptr) device::before_writing(usage.get());
  device::copy_async(room->get(), gpu_.get(), size_);
  gpu_ = *room;
  usage_ = usage;
}

}  // namespace caffe
