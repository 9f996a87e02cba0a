#ifndef CAFFE_UTIL_GPU_CONTEXT_HPP_
#define CAFFE_UTIL_GPU_CONTEXT_HPP_

// What a thread has on a GPU: two streams, the handles of NVIDIA's libraries that work on them, one
// workspace for all layers. In a build with CUDA only.
//
// The compute stream takes all kernels, products, copies and allocations of the thread, in order;
// it is also maap::current_stream(). Different threads' streams run at the same time; blocks of
// memory that go from one to the other are kept in order by GpuUsage.
//
// It is a stream that waits for the legacy default stream, and that the legacy stream waits for
// (cudaStreamDefault, not cudaStreamNonBlocking). Layers written for Caffe launch on the legacy
// stream, `kernel<<<blocks, threads>>>(...)`, and read what this engine's layers computed just
// before: with a non-blocking stream they would read old values, now and then, without an error.
// An engine that never uses the legacy stream pays nothing for it. The copy stream is non-blocking:
// what it copies is handed over by events.
//
// A context lives as long as the process. When its thread ends, the next new thread takes it over,
// with its streams and handles, so a block of memory may point to the context that used it last,
// and a program that starts many threads makes no more contexts than run at the same time. Nothing
// is destroyed when the process ends: the driver takes everything back, and a static object that
// frees its blocks after main() finds its streams.

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

#include "caffe/util/device.hpp"

struct cublasContext;  // what a cublasHandle_t points to

namespace caffe {

/// Makes a GPU the calling thread's current one while it exists.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

class GpuContext {
 public:
  /// That of the calling thread on its current GPU (cudaSetDevice may have changed it), made at the
  /// first use. Throws an Error if there is no such GPU, and in a child forked from a process that
  /// has used one.
  static GpuContext& current();
  /// The same, or null if the thread has none yet; never throws.
  static GpuContext* current_if_any() noexcept;

  int device() const { return device_; }
  device::Stream stream() const { return stream_; }
  /// For copies between host and GPU beside the computation. It waits for nothing but the events
  /// that it is given: device::wait_for(device::record(), copy_stream()) first, for memory that was
  /// allocated or used on the compute stream.
  device::Stream copy_stream();
  /// cuBLAS on the compute stream; made at the first use.
  cublasContext* blas();
  /// What cuDNN's layers keep here (caffe/layers/cudnn/plans.hpp): plans and cuDNN's handle.
  std::shared_ptr<void>& cudnn() { return cudnn_; }

  /// At least `bytes` of GPU memory, valid until the next call: the stream does one layer's work
  /// after the other's, so all of them use the same. It grows to the largest request.
  void* workspace(size_t bytes) { return room(bytes, &workspace_); }
  size_t workspace_bytes() const { return workspace_.bytes; }
  /// The same beside it: for operands of a product that are converted first, while the workspace
  /// may hold the other one.
  void* operand_room(size_t bytes) { return room(bytes, &operands_); }
  /// Grows whenever one of these moves.
  unsigned rooms_made() const { return rooms_made_; }
  /// cuBLAS works in memory of this context from now on, as a recording demands (gpu_graph.hpp):
  /// its own may be allocated at a call. Products may choose other kernels then.
  void keep_blas_workspace();

  /// From the pool of the GPU, in the order of the compute stream; throws OutOfMemory.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;

  /// The host waits for all that the thread has queued, on the copy stream as well. False if that
  /// is not possible: while it records, or after an error.
  bool finish() noexcept;

  /// This stream waits for what `other` has queued until now. Any thread may call it.
  void wait_for(GpuContext* other) { other->let_wait(stream_); }
  /// `stream` waits for what this context has queued until now.
  void let_wait(device::Stream stream);

  /// From now on, work for the stream is recorded instead of done (gpu_graph.hpp). Who waits for
  /// this context meanwhile waits for what was queued before.
  void begin_recording();
  /// The recording has ended.
  void has_recorded();
  bool is_recording() const { return is_recording_; }

 private:
  explicit GpuContext(int device);
  struct OfThread;
  struct Room {
    void* memory = nullptr;
    size_t bytes = 0;
  };
  void* room(size_t bytes, Room* room);
  void mark();
  static OfThread& of_this_thread();
  static GpuContext* take(int device);
  void give_back();
  void* try_to_allocate(size_t bytes);
  size_t kept_bytes() const;

  const int device_;
  bool has_pool_ = false;
  device::Stream stream_ = nullptr;
  device::Stream copy_stream_ = nullptr;
  cublasContext* blas_ = nullptr;
  std::shared_ptr<void> cudnn_;
  Room workspace_, operands_, blas_room_;
  unsigned rooms_made_ = 0;
  std::atomic<bool> is_recording_{false};
  std::mutex mutex_;  // guards the event
  CUevent_st* event_ = nullptr;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_CONTEXT_HPP_
