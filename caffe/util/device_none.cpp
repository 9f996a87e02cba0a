// The functions of device.hpp in a build without CUDA.

#include <cstdlib>

#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"
#include "caffe/util/gpu_workspace.hpp"

namespace caffe {
namespace device {

namespace {

const char kNoCuda[] =
    "GPU mode was requested, but this Caffe was built without CUDA: write solver_mode: CPU "
    "in the solver, leave -gpu out, or call caffe.set_mode_cpu()";

[[noreturn]] void fail() {
  throw Error(kNoCuda);
}

}  // namespace

int count() {
  return 0;
}
std::string why_unusable(int) {
  return kNoCuda;
}
bool usable(int) {
  return false;
}
void select(int) {
  fail();
}
int current() {
  fail();
}
std::string properties(int) {
  fail();
}
void wait() {
  fail();
}
void has_run(const std::string&, const char*) {}
void* allocate(size_t) {
  fail();
}
void release(void*) noexcept {}
void* workspace(size_t) {
  fail();
}
void fill_zero(void*, size_t) {
  fail();
}
void copy(void*, const void*, size_t) {
  fail();
}
void copy_async(void*, const void*, size_t) {
  fail();
}
void copy_async(void*, const void*, size_t, Stream) {
  fail();
}

void* allocate_pinned(size_t bytes) {
  const size_t alignment = 64;  // a multiple of it is what aligned_alloc takes
  void* const memory =
      std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  CAFFE_CHECK(memory != nullptr, "cannot allocate "
                                     << bytes << " bytes of memory: use a smaller "
                                     << "batch_size, or free memory on this machine");
  return memory;
}
void release_pinned(void* memory) noexcept {
  std::free(memory);
}
bool pin(void*, size_t) noexcept {
  return false;
}
void unpin(void*) noexcept {}

Stream copy_stream() {
  fail();
}
Event record() {
  fail();
}
Event record(Stream) {
  fail();
}
void wait_for(const Event&) {}
void wait_for(const Event&, Stream) {}
bool is_done(const Event&) {
  return true;
}
void finish(const Event&) {}
Event record_time() {
  fail();
}
float milliseconds(const Event&, const Event&) {
  fail();
}

std::shared_ptr<GpuUsage> usage_of(const void*) {
  return nullptr;
}
void before_reading(GpuUsage*) {}
void before_writing(GpuUsage*) {}
void before_writing_on(GpuUsage*, Stream) {}
void has_written_on(GpuUsage*, Stream) {}
bool is_here(const GpuUsage&) {
  return true;
}

}  // namespace device
}  // namespace caffe
