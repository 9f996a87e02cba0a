// The functions of device.hpp for memory in a build with CUDA.

#include <cuda_runtime.h>

#include <cstdint>
#include <map>
#include <mutex>

#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/gpu_usage.hpp"
#include "caffe/util/gpu_workspace.hpp"

namespace caffe {
namespace device {

namespace {

struct Block {
  size_t bytes;
  std::shared_ptr<GpuUsage> usage;
};

/// All memory that the engine has on GPUs, by address (unique among all GPUs). Looked at when
/// memory is allocated, released or given to a blob, not when it is used.
class Blocks {
 public:
  static Blocks& get() {
    static Blocks& all = *new Blocks();  // static objects may free memory when the process ends
    return all;
  }

  void add(const void* memory, Block block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    blocks_[reinterpret_cast<uintptr_t>(memory)] = std::move(block);
  }
  /// Null if there is none that begins there.
  std::shared_ptr<GpuUsage> remove(const void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = blocks_.find(reinterpret_cast<uintptr_t>(memory));
    if (found == blocks_.end()) return nullptr;
    const std::shared_ptr<GpuUsage> usage = found->second.usage;
    blocks_.erase(found);
    return usage;
  }
  /// Of the block that the address is in; null if it is in none.
  std::shared_ptr<GpuUsage> usage(const void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    auto found = blocks_.upper_bound(address);
    if (found == blocks_.begin()) return nullptr;
    --found;
    return address - found->first < found->second.bytes ? found->second.usage : nullptr;
  }

 private:
  std::mutex mutex_;
  std::map<uintptr_t, Block> blocks_;
};

cudaPointerAttributes attributes(const void* memory) {
  cudaPointerAttributes found = {};
  const cudaError_t status = cudaPointerGetAttributes(&found, memory);
  if (status != cudaSuccess) {  // of older runtimes, about ordinary memory
    cudaGetLastError();
    found.type = cudaMemoryTypeUnregistered;
  }
  return found;
}

constexpr int kHost = -1;

/// The GPU that has the memory, or kHost.
int gpu_of(const void* memory) {
  const cudaPointerAttributes found = attributes(memory);
  return found.type == cudaMemoryTypeDevice ? found.device : kHost;
}

/// A copy, and where its ends are.
struct Copy {
  void* to;
  const void* from;
  size_t bytes;
  int there = gpu_of(to), here = gpu_of(from);

  bool has_host() const { return there == kHost || here == kHost; }
  bool is_between_gpus() const { return !has_host() && there != here; }
  /// Memory of the host may have other values, or none, when recorded work is repeated.
  void note() const {
    if (has_host()) note_host_work("copies from or to the host");
  }

  /// Between two GPUs memory of their pools goes by cudaMemcpyPeerAsync alone.
  void queue(Stream stream) const {
    const char* const what = "copying from or to the GPU";
    if (is_between_gpus()) {
      check_gpu(cudaMemcpyPeerAsync(to, there, from, here, bytes, stream), what);
    } else {
      check_gpu(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), what);
    }
  }
  /// The same on the thread's stream. To, from or within a GPU that is not the thread's, a stream
  /// of that GPU copies, and the thread's own waits for it.
  void queue() const {
    GpuContext& mine = GpuContext::current();
    const int owner = there != kHost ? there : here;
    if (is_between_gpus() || owner == kHost || owner == mine.device()) return queue(mine.stream());
    GpuContext* other = nullptr;
    {
      const OnDevice on(owner);
      other = &GpuContext::current();
      other->wait_for(&mine);
      queue(other->stream());
    }
    GpuContext::current().wait_for(other);  // which is `mine`; kernels go to its stream again
  }
};

}  // namespace

void* allocate(size_t bytes) {
  note_host_work("allocates GPU memory");
  GpuContext& mine = GpuContext::current();
  void* const memory = mine.allocate(bytes);
  Blocks::get().add(memory, {bytes, std::make_shared<GpuUsage>(mine.device(), &mine)});
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr || is_parents_gpu()) return;
  if (GpuTrace::current() != nullptr && GpuTrace::current()->keeps(memory)) return;
  const std::shared_ptr<GpuUsage> usage = Blocks::get().remove(memory);
  if (usage == nullptr) return;
  try {
    const OnDevice here(usage->device());
    GpuContext* calling = GpuContext::current_if_any();
    // Another thread's recording must not give it back, nor wait for its users.
    if (usage->last_would_record(calling)) calling = &GpuContext::current();
    usage->last(calling)->release(memory);
  } catch (const Error&) {  // an earlier error has made the GPU unusable, or the process ends
  }
}

void* workspace(size_t bytes) {
  return GpuContext::current().workspace(bytes);
}

void* operand_room(size_t bytes) {
  return GpuContext::current().operand_room(bytes);
}

void fill_zero(void* memory, size_t bytes) {
  if (bytes == 0) return;
  check_gpu(cudaMemsetAsync(memory, 0, bytes, GpuContext::current().stream()),
            "clearing GPU memory");
}

void copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  const Copy copy = {to, from, bytes};
  copy.note();
  copy.queue();
  // The driver need not wait itself, not even for ordinary memory of the host.
  if (copy.has_host()) wait();
}

void copy_async(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  const Copy copy = {to, from, bytes};
  copy.note();
  copy.queue();
}

void copy_async(void* to, const void* from, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  const Copy copy = {to, from, bytes};
  copy.note();
  copy.queue(stream);
}

std::shared_ptr<GpuUsage> usage_of(const void* memory) {
  const std::shared_ptr<GpuUsage> known = Blocks::get().usage(memory);
  if (known != nullptr) return known;
  const cudaPointerAttributes found = attributes(memory);
  const bool on_gpu = found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged;
  return std::make_shared<GpuUsage>(on_gpu ? found.device : current(), nullptr);
}

void before_reading(GpuUsage* usage) {
  usage->read(&GpuContext::current());
}

void before_writing(GpuUsage* usage) {
  usage->write(&GpuContext::current());
}

void before_writing_on(GpuUsage* usage, Stream stream) {
  usage->before_writing_on(stream);
}

void has_written_on(GpuUsage* usage, Stream stream) {
  usage->has_written_on(stream);
}

bool is_here(const GpuUsage& usage) {
  return usage.device() == GpuContext::current().device();
}

}  // namespace device
}  // namespace caffe
