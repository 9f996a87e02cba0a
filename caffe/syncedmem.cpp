#include "caffe/syncedmem.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "caffe/util/buffer_cache.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/reorder_count.hpp"

namespace caffe {

constexpr size_t SyncedMemory::kAlignment;

namespace {

/// Smaller blocks are not worth pinning: the driver copies them aside.
constexpr size_t kWorthPinning = 64 << 10;
/// Transfers after which a block's memory gets pinned. Snapshots read the weights back now and
/// then, which is no reason.
constexpr unsigned char kUploads = 2, kReadBacks = 16;

const char* const kMoves = "gives a blob other memory";

void leave_alone(void*) {}

/// The deleter of memory that a block allocated.
struct OwnMemory {
  std::shared_ptr<void> memory;
  bool pinned = false;
  void operator()(void* address) const {
    if (pinned) device::unpin(address);
  }
};

/// Whether nobody but the block can write this memory without a call to it.
bool cpu_is_ours_alone(const std::shared_ptr<void>& memory) {
  return std::get_deleter<OwnMemory>(memory) != nullptr && memory.use_count() == 1;
}

/// 4096 bytes on x86-64, up to 65536 on ARM.
size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

size_t whole_pages(size_t bytes) {
  return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

void* host_memory(size_t size, size_t alignment, size_t bytes) {
  void* memory = nullptr;
  CAFFE_CHECK(posix_memalign(&memory, alignment, bytes) == 0,
              "cannot allocate " << size << " bytes of memory: use a smaller batch_size, or free "
                                 << "memory on this machine");
  return memory;
}

/// Of the calling thread, valid until its next call.
char* pinned_scratch(size_t bytes) {
  static thread_local std::shared_ptr<void> memory;
  static thread_local size_t room = 0;
  if (bytes > room) {
    room = (bytes + kWorthPinning - 1) / kWorthPinning * kWorthPinning;
    memory = std::shared_ptr<void>(device::allocate_pinned(room), device::release_pinned);
  }
  return static_cast<char*>(memory.get());
}

/// What stands for values that were given up.
class NoValues : public ForeignCopy {
 public:
  void copy_to(void*) const override {
    CAFFE_FAIL(
        "these values were given up after the last layer that reads them: name the blob in "
        "Net::KeepOnly (in Python: net.keep_only), or run forward again");
  }
};

/// Always the same object.
const std::shared_ptr<ForeignCopy>& no_values() {
  // Never destroyed: blocks may live longer than static objects.
  static const auto* const copy = new std::shared_ptr<ForeignCopy>(new NoValues);
  return *copy;
}

/// Throws if there are no values to read.
void check_not_given_up(const SyncedMemory& block) {
  if (block.is_given_up()) no_values()->copy_to(nullptr);
}

}  // namespace

SyncedMemory::~SyncedMemory() {
  if (alive_ != nullptr) *alive_ = false;
  if (GpuTrace::current() != nullptr) GpuTrace::current()->forget(this);
  try {
    finish_upload();
  } catch (const Error&) {  // the GPU has failed, which the next call will say
  }
}

const void* SyncedMemory::cpu_data() {
  note_host_read();
  to_cpu();
  return cpu_.get();
}

const void* SyncedMemory::gpu_data() {
  note_use(false);
  to_gpu();
  if (usage_ != nullptr) device::before_reading(usage_.get());
  return gpu_.get();
}

void* SyncedMemory::mutable_cpu_data() {
  note_host_write();
  if (is_given_up()) return overwrite_cpu_data();
  to_cpu();
  if (upload_ != nullptr) finish_upload();
  has_changed(HEAD_AT_CPU);
  return cpu_.get();
}

void* SyncedMemory::overwrite_cpu_data() {
  note_host_write();
  finish_upload();
  if (cpu_ == nullptr) allocate_cpu();
  has_changed(HEAD_AT_CPU);
  return cpu_.get();
}

void* SyncedMemory::mutable_gpu_data() {
  note_use(true);
  if (is_given_up()) {
    prepare_gpu();
  } else {
    to_gpu();
  }
  if (usage_ != nullptr) device::before_writing(usage_.get());
  has_changed(HEAD_AT_GPU);
  return gpu_.get();
}

void SyncedMemory::has_changed(SyncedHead head) {
  head_ = head;
  foreign_is_current_ = false;
  twin_.reset();
}

void SyncedMemory::async_gpu_push(CUstream_st* const& stream) {
  check_not_given_up(*this);
  if (is_foreign(false)) convert_on_cpu();
  if (head_ != HEAD_AT_CPU) return to_gpu();
  prepare_gpu();
  pin_if_ours();
  device::before_writing_on(usage_.get(), stream);
  device::copy_async(gpu_.get(), cpu_.get(), size_, stream);
  device::has_written_on(usage_.get(), stream);
  upload_ = device::record(stream);
  head_ = SYNCED;
  if (is_held()) finish_upload();  // the holder may write at any time
}

void SyncedMemory::set_cpu_data(const std::shared_ptr<void>& data) {
  note_host_work(kMoves);
  CAFFE_CHECK(data != nullptr, "set_cpu_data: the pointer is null");
  finish_upload();
  cpu_ = data;
  has_changed(HEAD_AT_CPU);
}

void SyncedMemory::set_cpu_data(void* data) {
  set_cpu_data(std::shared_ptr<void>(data, leave_alone));
}

void SyncedMemory::set_gpu_data(void* data) {
  set_gpu_data(std::shared_ptr<void>(data, leave_alone));
}

void SyncedMemory::set_gpu_data(const std::shared_ptr<void>& data) {
  note_host_work(kMoves);
  CAFFE_CHECK(data != nullptr, "set_gpu_data: the pointer is null");
  if (gpu_ == nullptr || gpu_.get() != data.get()) usage_ = device::usage_of(data.get());
  gpu_ = data;
  has_changed(HEAD_AT_GPU);
  gpu_is_given_ = true;
}

bool SyncedMemory::move_on_gpu(const std::shared_ptr<void>& memory) {
  note_host_work(kMoves);
  if (gpu_is_given_ || gpu_.use_count() > 1) return false;
  const std::shared_ptr<GpuUsage> usage = device::usage_of(memory.get());
  if (gpu_ != nullptr && is_on_gpu()) {
    device::before_reading(usage_.get());
    device::before_writing(usage.get());
    device::copy(memory.get(), gpu_.get(), size_);
  }
  gpu_ = memory;
  usage_ = usage;
  gpu_is_given_ = true;
  return true;
}

void SyncedMemory::cpu_copy_is(const void* values) {
  if (head_ != HEAD_AT_GPU) return;
  finish_upload();
  if (cpu_ == nullptr) allocate_cpu();
  std::memcpy(cpu_.get(), values, size_);
  head_ = SYNCED;
}

void SyncedMemory::set_gpu_copy(const std::shared_ptr<void>& data) {
  note_host_work(kMoves);
  CAFFE_CHECK(data != nullptr && is_on_cpu(),
              "set_gpu_copy: the pointer is null, or the values are not on the CPU");
  usage_ = device::usage_of(data.get());
  gpu_ = data;
  gpu_is_given_ = true;
  head_ = SYNCED;
}

const std::shared_ptr<void>& SyncedMemory::share_cpu_data() {
  check_not_given_up(*this);
  mutable_cpu_data();
  return cpu_;
}

const std::shared_ptr<void>& SyncedMemory::share_gpu_data() {
  gpu_data();
  return gpu_;
}

void SyncedMemory::fetch(const std::vector<SyncedMemory*>& blocks) {
  std::vector<SyncedMemory*> coming;
  size_t bytes = 0;  // that come by way of the scratch memory
  for (SyncedMemory* block : blocks) {
    if (block->head_ != HEAD_AT_GPU) continue;
    if (block->cpu_ == nullptr) block->allocate_cpu();
    block->pin_if_ours();
    if (!block->is_pinned() && block->size_ >= kWorthPinning) continue;  // a copy like any other
    coming.push_back(block);
    if (!block->is_pinned()) bytes += block->size_;
  }
  char* const scratch = pinned_scratch(bytes);
  size_t at = 0;
  for (SyncedMemory* block : coming) {
    const bool direct = block->is_pinned();
    device::before_reading(block->usage_.get());
    device::copy_async(direct ? block->cpu_.get() : scratch + at, block->gpu_.get(), block->size_);
    if (!direct) at += block->size_;
  }
  if (!coming.empty()) device::finish(device::record());
  at = 0;
  for (SyncedMemory* block : coming) {
    block->head_ = SYNCED;
    if (block->is_pinned()) continue;
    std::memcpy(block->cpu_.get(), scratch + at, block->size_);
    at += block->size_;
  }
  for (SyncedMemory* block : blocks) block->to_cpu();
}

void SyncedMemory::foreign_written(std::shared_ptr<ForeignCopy> copy) {
  note_use(true);
  CAFFE_CHECK(copy != nullptr, "foreign_written: the copy is null");
  foreign_ = std::move(copy);
  has_changed(HEAD_AT_FOREIGN);
  foreign_is_current_ = true;
  if (is_held() && !foreign_->on_gpu()) mutable_cpu_data();
}

void SyncedMemory::give_up() {
  note_host_work("gives memory back");
  const bool is_given = cpu_ != nullptr && std::get_deleter<OwnMemory>(cpu_) == nullptr;
  const bool is_mine = !is_given && !gpu_is_given_ && !is_held() && gpu_.use_count() <= 1;
  if (head_ == UNINITIALIZED || !is_mine) return;
  finish_upload();
  cpu_.reset();
  gpu_.reset();
  usage_.reset();
  uploads_ = read_backs_ = 0;
  foreign_ = no_values();
  has_changed(HEAD_AT_FOREIGN);
  foreign_is_current_ = true;
}

bool SyncedMemory::is_given_up() const {
  return head_ == HEAD_AT_FOREIGN && foreign_ == no_values();
}

void SyncedMemory::foreign_filled(std::shared_ptr<ForeignCopy> copy) {
  note_use(false);
  CAFFE_CHECK(copy != nullptr, "foreign_filled: the copy is null");
  CAFFE_CHECK(head_ != UNINITIALIZED && head_ != HEAD_AT_FOREIGN,
              "foreign_filled: the block has no plain values that the copy could come from");
  foreign_ = std::move(copy);
  foreign_is_current_ = foreign_->on_gpu() || cpu_is_ours_alone(cpu_);
}

/// HEAD_AT_FOREIGN with the values on that device.
bool SyncedMemory::is_foreign(bool on_gpu) const {
  return head_ == HEAD_AT_FOREIGN && foreign_->on_gpu() == on_gpu;
}

/// HEAD_AT_FOREIGN becomes HEAD_AT_CPU.
void SyncedMemory::convert_on_cpu() {
  finish_upload();
  if (cpu_ == nullptr) {
    allocate_cpu();
    std::memset(cpu_.get(), 0, size_);
  }
  foreign_->copy_to(cpu_.get());
  count_reorder();
  head_ = HEAD_AT_CPU;
}

/// HEAD_AT_FOREIGN becomes HEAD_AT_GPU, HEAD_AT_CPU becomes SYNCED.
void SyncedMemory::convert_on_gpu() {
  const void* const before = gpu_.get();
  prepare_gpu();
  if (usage_ != nullptr) device::before_writing(usage_.get());
  if (gpu_.get() != before) device::fill_zero(gpu_.get(), size_);
  foreign_->copy_to(gpu_.get());
  count_reorder();
  head_ = head_ == HEAD_AT_CPU ? SYNCED : HEAD_AT_GPU;
}

/// HEAD_AT_FOREIGN becomes HEAD_AT_CPU; there is no plain memory on the GPU before and after.
void SyncedMemory::convert_through_gpu() {
  convert_on_gpu();
  if (cpu_ == nullptr) allocate_cpu();
  device::copy(cpu_.get(), gpu_.get(), size_);
  gpu_.reset();
  usage_.reset();
  head_ = HEAD_AT_CPU;
}

void SyncedMemory::to_cpu() {
  if (is_on_cpu()) return;
  check_not_given_up(*this);
  if (is_foreign(false)) return convert_on_cpu();
  if (is_foreign(true)) {
    if (gpu_ == nullptr) return convert_through_gpu();
    convert_on_gpu();
  }
  if (cpu_ == nullptr) allocate_cpu();
  if (head_ == UNINITIALIZED) {
    std::memset(cpu_.get(), 0, size_);
    head_ = HEAD_AT_CPU;
    return;
  }
  if (read_backs_ < kReadBacks && ++read_backs_ == kReadBacks) pin_if_ours();
  device::before_reading(usage_.get());
  device::copy(cpu_.get(), gpu_.get(), size_);
  head_ = SYNCED;
}

void SyncedMemory::to_gpu() {
  check_not_given_up(*this);
  if (is_foreign(false)) convert_on_cpu();
  if (!is_on_gpu() && foreign_is_current_ && foreign_->on_gpu()) {
    return convert_on_gpu();
  }
  prepare_gpu();
  if (is_on_gpu()) return;
  if (usage_ != nullptr) device::before_writing(usage_.get());
  if (head_ == UNINITIALIZED) {
    device::fill_zero(gpu_.get(), size_);
    head_ = HEAD_AT_GPU;
  } else {
    upload();
    head_ = SYNCED;
  }
}

void SyncedMemory::upload() {
  if (uploads_ < kUploads && ++uploads_ == kUploads) pin_if_ours();
  // Who else has the memory may write to it at any time.
  if (!cpu_is_ours_alone(cpu_)) return device::copy(gpu_.get(), cpu_.get(), size_);
  device::copy_async(gpu_.get(), cpu_.get(), size_);
  upload_ = device::record();
}

void SyncedMemory::finish_upload() {
  const device::Event done = std::move(upload_);
  upload_ = nullptr;
  device::finish(done);
}

void SyncedMemory::allocate_cpu() {
  const bool pages = size_ >= kWorthPinning && Caffe::mode() == Caffe::GPU;
  OwnMemory own;
  own.memory =
      pages ? std::shared_ptr<void>(host_memory(size_, page_bytes(), whole_pages(size_)), std::free)
            : host_buffer(size_);
  void* const address = own.memory.get();
  cpu_ = std::shared_ptr<void>(address, std::move(own));
}

bool SyncedMemory::is_pinned() const {
  const OwnMemory* const own = std::get_deleter<OwnMemory>(cpu_);
  return own != nullptr && own->pinned;
}

/// Memory that was allocated in whole pages, see allocate_cpu().
void SyncedMemory::pin_if_ours() {
  OwnMemory* const own = std::get_deleter<OwnMemory>(cpu_);
  if (own == nullptr || own->pinned || size_ < kWorthPinning) return;
  if (reinterpret_cast<uintptr_t>(cpu_.get()) % page_bytes() != 0) return;
  own->pinned = device::pin(cpu_.get(), whole_pages(size_));
}

/// Makes the GPU copy, without values, or moves it to the thread's GPU.
void SyncedMemory::prepare_gpu() {
  if (gpu_ != nullptr && (usage_ == nullptr || device::is_here(*usage_))) return;
  const size_t bytes = std::max(size_, kAlignment);
  const std::shared_ptr<void> here(device::allocate(bytes), device::release);
  const std::shared_ptr<GpuUsage> usage = device::usage_of(here.get());
  if (gpu_ != nullptr && is_on_gpu()) {
    device::before_reading(usage_.get());
    device::before_writing(usage.get());
    device::copy_async(here.get(), gpu_.get(), size_);
  }
  gpu_ = here;
  usage_ = usage;
  gpu_is_given_ = false;
}

void CaffeMallocHost(void** ptr, size_t size, bool* use_cuda) {
  constexpr size_t kAlignment = SyncedMemory::kAlignment;
  const size_t bytes = std::max(size, kAlignment);  // even an empty block gets an address
  *use_cuda = Caffe::mode() == Caffe::GPU;
  if (*use_cuda) {
    *ptr = device::allocate_pinned(bytes);
    return;
  }
  *ptr = host_memory(size, kAlignment, bytes);
}

void CaffeFreeHost(void* ptr, bool use_cuda) {
  if (use_cuda) {
    device::release_pinned(ptr);
  } else {
    std::free(ptr);
  }
}

}  // namespace caffe
