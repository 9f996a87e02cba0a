#ifndef CAFFE_UTIL_GPU_USAGE_HPP_
#define CAFFE_UTIL_GPU_USAGE_HPP_

// In which order threads use a block of GPU memory. In a build with CUDA only.
//
// Each thread queues its work on a stream of its own (gpu_context.hpp), and the GPU may run two
// streams' work in any order. Who takes up a block therefore asks here first: a context that reads
// waits for the one that wrote, a context that writes for all that used the block since. The GPU
// waits, by an event; the host does not. A context that comes again costs one compare.
//
// A context never goes away (that of a dead thread passes to a new one), so the pointers here stay
// valid, and its stream still knows what is left to do.

#include <atomic>
#include <mutex>
#include <vector>

#include "caffe/util/device.hpp"

namespace caffe {

class GpuContext;

class GpuUsage {
 public:
  /// Of memory on this GPU that `home` allocated; null: memory that the engine did not allocate.
  GpuUsage(int device, GpuContext* home) : device_(device), home_(home) {}

  int device() const { return device_; }
  /// Call before `context` queues work that reads, or writes, the block.
  void read(GpuContext* context) {
    if (sole_.load(std::memory_order_relaxed) != context) join(context, false);
  }
  void write(GpuContext* context) {
    if (sole_.load(std::memory_order_relaxed) != context ||
        writer_.load(std::memory_order_relaxed) != context) {
      join(context, true);
    }
  }
  /// The same for another stream of the current GPU.
  void before_writing_on(device::Stream stream);
  void has_written_on(device::Stream stream);

  /// The context on whose stream the engine's block may be freed: `calling` if it is on this GPU
  /// (it may be null), else the one that allocated the block. Its stream waits for all users.
  GpuContext* last(GpuContext* calling);
  /// Whether that would be the allocating context while its thread records.
  bool last_would_record(const GpuContext* calling) const;

 private:
  void join(GpuContext* context, bool writes);
  void wait_for_writer(GpuContext* context);

  const int device_;
  GpuContext* const home_;
  std::atomic<GpuContext*> sole_{nullptr};    // the only user since the last writer was done
  std::atomic<GpuContext*> writer_{nullptr};  // whoever wrote last
  std::mutex mutex_;                          // guards the following
  std::vector<GpuContext*> users_;            // since then, the writer included
  device::Event written_;                     // if a stream without a context wrote last
};

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_USAGE_HPP_
