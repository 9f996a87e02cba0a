#include "caffe/util/gpu_trace.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

thread_local GpuTrace* trace_of_thread = nullptr;

/// No trace while it exists.
class Untraced {
 public:
  Untraced() : before_(trace_of_thread) { trace_of_thread = nullptr; }
  ~Untraced() { trace_of_thread = before_; }
  Untraced(const Untraced&) = delete;
  Untraced& operator=(const Untraced&) = delete;

 private:
  GpuTrace* const before_;
};

uint32_t draw_seed() {
  const Untraced quietly;
  return caffe_rng_rand();
}

}  // namespace

// ---- LaunchValues

LaunchValues::LaunchValues(size_t most) : most_(most) {
  const size_t bytes = kBytes * std::max<size_t>(most, 1);
  host_ = std::shared_ptr<void>(device::allocate_pinned(bytes), device::release_pinned);
  gpu_ = std::shared_ptr<void>(device::allocate(bytes), device::release);
}

LaunchValues::~LaunchValues() {
  try {
    device::finish(sent_);
  } catch (const Error&) {  // the GPU has failed, which the next call will say
  }
}

const void* LaunchValues::add(const void* now, size_t bytes, std::function<void(void*)> next) {
  if (is_full()) throw NotRecorded("it has other launch arguments than before");
  const size_t at = kBytes * next_.size();
  std::memcpy(static_cast<char*>(host_.get()) + at, now, bytes);
  next_.push_back(std::move(next));
  return static_cast<char*>(gpu_.get()) + at;
}

void LaunchValues::refresh() {
  device::finish(sent_);
  sent_ = nullptr;
  for (size_t i = 0; i < next_.size(); ++i) next_[i](static_cast<char*>(host_.get()) + kBytes * i);
}

void LaunchValues::send(size_t first) {
  if (first == size()) return;
  const size_t at = kBytes * first;
  device::copy_async(static_cast<char*>(gpu_.get()) + at, static_cast<char*>(host_.get()) + at,
                     kBytes * (size() - first));
  sent_ = device::record();
}

// ---- GpuTrace

GpuTrace* GpuTrace::current() {
  return trace_of_thread;
}

GpuTrace::Scope::Scope(GpuTrace* trace) {
  CAFFE_CHECK(trace_of_thread == nullptr, "a trace within a trace");
  trace_of_thread = trace;
}

GpuTrace::Scope::~Scope() {
  trace_of_thread = nullptr;
}

GpuTrace::Touch& GpuTrace::touch(SyncedMemory* block) {
  const auto entry = index_.emplace(block, touches_.size());
  if (entry.second) touches_.push_back({block, block->state(), false, false});
  return touches_[entry.first->second];
}

void GpuTrace::uses(SyncedMemory* block, bool writes) {
  Touch& one = touch(block);
  one.is_written = one.is_written || writes;
}

/// The values of a block that only the host writes, such as a loss weight, stay as they are.
void GpuTrace::reads_on_host(SyncedMemory* block) {
  Touch& one = touch(block);
  one.is_read_on_host = true;
  if (!block->is_on_cpu() || one.is_written || changing_.count(block) > 0) {
    needs_host("reads values on the host");
  }
}

void GpuTrace::note(const char* what) {
  if (!why_not_.empty()) return;
  why_not_ = (layer_.empty() ? "the update " : "layer '" + layer_ + "' ") + what;
}

void GpuTrace::forget(const SyncedMemory* block) noexcept {
  const auto found = index_.find(block);
  if (found == index_.end()) return;
  touches_[found->second].block = nullptr;
  index_.erase(found);
  note("uses memory that goes away");
}

void GpuTrace::needs_host(const char* what) {
  note(what);
  if (kind_ == kRecord) throw NotRecorded(why_not_);
}

bool GpuTrace::keeps(void* memory) noexcept {
  note("gives GPU memory back");
  if (kind_ == kRecord) kept_.push_back(memory);
  return kind_ == kRecord;
}

void GpuTrace::release_kept() {
  for (void* const memory : kept_) device::release(memory);
  kept_.clear();
}

std::shared_ptr<void> GpuTrace::value_memory() const {
  return values_->memory();
}

const void* GpuTrace::place(const void* now, size_t bytes, std::function<void(void*)> next) {
  ++count_;
  if (kind_ == kRecord) return values_->add(now, bytes, std::move(next));
  if (values_->is_full()) return nullptr;
  const Untraced quietly;
  const void* const at = values_->add(now, bytes, std::move(next));
  values_->send(values_->size() - 1);
  return at;
}

void note_host_work(const char* what) {
  if (GpuTrace::current() != nullptr) GpuTrace::current()->needs_host(what);
}

void draw_gpu_seed(GpuSeed* seed) {
  seed->value = draw_seed();
  seed->at = nullptr;
  GpuTrace* const trace = GpuTrace::current();
  if (trace == nullptr) return;
  const uint32_t* const at =
      trace->value<uint32_t>(seed->value, [seed] { return seed->value = draw_seed(); });
  if (at != nullptr) seed->at = std::shared_ptr<const uint32_t>(trace->value_memory(), at);
}

}  // namespace caffe
