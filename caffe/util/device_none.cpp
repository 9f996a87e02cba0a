// The functions of device.hpp in a build without CUDA.

#include <cstdlib>

#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"
#include "caffe/util/gpu_capability.hpp"
#include "caffe/util/gpu_workspace.hpp"

namespace caffe {
namespace device {

namespace {

const char kNoCuda[] =
    "GPU mode was requested, but this Caffe was built without CUDA: write solver_mode: CPU "
    "in the solver, leave -gpu out, or call caffe.set_mode_cpu(); or build with CUDA "
    "(MAAP_USE_CUDA=ON ./maap setup; docs/gpu.md)";

[[noreturn]] void no_device() {
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
  no_device();
}
int current() {
  no_device();
}
std::string properties(int) {
  no_device();
}
void wait() {
  no_device();
}
void has_run(const std::string&, const char*) {}
void* allocate(size_t) {
  no_device();
}
void release(void*) noexcept {}
void* workspace(size_t) {
  no_device();
}
void* operand_room(size_t) {
  no_device();
}
int capability() {
  no_device();
}
void fill_zero(void*, size_t) {
  no_device();
}
void copy(void*, const void*, size_t) {
  no_device();
}
void copy_async(void*, const void*, size_t) {
  no_device();
}
void copy_async(void*, const void*, size_t, Stream) {
  no_device();
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
  no_device();
}
Event record() {
  no_device();
}
Event record(Stream) {
  no_device();
}
void wait_for(const Event&) {}
void wait_for(const Event&, Stream) {}
bool is_done(const Event&) {
  return true;
}
void finish(const Event&) {}
Event record_time() {
  no_device();
}
float milliseconds(const Event&, const Event&) {
  no_device();
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
