#include "caffe/util/late_values.hpp"

#include <algorithm>

#include "caffe/util/device.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {

namespace {

constexpr size_t kValueAlignment = 16;
constexpr size_t kHead = 16;  // the first chunk begins with *stop()
constexpr size_t kFirstSize = 4096;

thread_local LateValues* current_values = nullptr;

}  // namespace

LateValues* LateValues::current() {
  return current_values;
}

LateValues* LateValues::of_thread() {
  static thread_local LateValues values;
  return &values;
}

LateValues::Scope::Scope(LateValues* values) : before_(current_values) {
  current_values = values;
}

LateValues::Scope::~Scope() {
  current_values = before_;
}

void LateValues::begin() {
  entries_.clear();
  placed_ = 0;
  cleared_ = false;
  const int gpu = device::current();
  size_t size = 0;
  for (const Chunk& chunk : chunks_) size += chunk.size;
  // One chunk of the size that the last use needed. Without the memory there is none.
  if (gpu != gpu_ || chunks_.size() != 1) {
    chunks_.clear();
    gpu_ = gpu;
    add_chunk(std::max(size, kFirstSize));
  }
  device::before_writing(device::usage_of(chunks_[0].gpu.get()).get());
  chunks_[0].used = kHead;
}

void LateValues::add_chunk(size_t size) {
  Chunk chunk;
  chunk.gpu.reset(device::allocate(size), device::release);
  chunk.host.reset(device::allocate_pinned(size), device::release_pinned);
  chunk.size = size;
  chunk.used = 0;
  chunks_.push_back(std::move(chunk));
}

void* LateValues::place_bytes(size_t bytes, std::function<void(const void*)> then) {
  const size_t rounded = (bytes + kValueAlignment - 1) / kValueAlignment * kValueAlignment;
  if (chunks_.back().used + rounded > chunks_.back().size) {
    add_chunk(std::max(rounded, 2 * chunks_.back().size));
  }
  Chunk& chunk = chunks_.back();
  entries_.push_back({static_cast<int>(chunks_.size()) - 1, chunk.used, std::move(then)});
  ++placed_;
  chunk.used += rounded;
  return static_cast<char*>(chunk.gpu.get()) + entries_.back().begin;
}

void LateValues::then(std::function<void()> then) {
  entries_.push_back({-1, 0, [then = std::move(then)](const void*) { then(); }});
}

int* LateValues::stop() {
  if (!cleared_) device::fill_zero(chunks_[0].gpu.get(), kHead);
  cleared_ = true;
  return static_cast<int*>(chunks_[0].gpu.get());
}

void LateValues::finish() {
  if (placed_ > 0) {
    for (const Chunk& chunk : chunks_) {
      device::copy(chunk.host.get(), chunk.gpu.get(), chunk.used);
    }
  }
  placed_ = 0;
  std::vector<Entry> entries;
  entries.swap(entries_);
  for (const Entry& entry : entries) {
    const char* const host =
        entry.chunk < 0 ? nullptr : static_cast<const char*>(chunks_[entry.chunk].host.get());
    entry.then(host == nullptr ? nullptr : host + entry.begin);
  }
}

LateValues::Mark LateValues::mark() const {
  if (chunks_.size() != 1) throw NotRecorded("what it reports needs more memory than before");
  return {entries_, chunks_[0].gpu.get(), chunks_[0].used, placed_, cleared_};
}

bool LateValues::is_at(const Mark& mark) const {
  return chunks_.size() == 1 && chunks_[0].gpu.get() == mark.memory &&
         chunks_[0].used == mark.used && entries_.size() == mark.entries.size() &&
         placed_ == mark.placed && cleared_ == mark.cleared;
}

bool LateValues::go_to(const Mark& mark) {
  if (chunks_.size() != 1 || chunks_[0].gpu.get() != mark.memory) return false;
  entries_ = mark.entries;
  chunks_[0].used = mark.used;
  placed_ = mark.placed;
  cleared_ = mark.cleared;
  return true;
}

void after_late_values(const std::function<void()>& what) {
  if (LateValues::current() == nullptr) return what();
  LateValues::current()->then(what);
}

}  // namespace caffe
