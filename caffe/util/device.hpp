#ifndef CAFFE_UTIL_DEVICE_HPP_
#define CAFFE_UTIL_DEVICE_HPP_

// What the engine asks of a GPU's runtime. Code that uses memory needs no conditionals: the build
// takes device.cpp and device_memory.cpp if it has CUDA, else device_none.cpp, where each function
// throws an Error that says so, except count(), which returns 0, usable(), which returns false, and
// the pinned memory, which is ordinary memory then.
//
// All work is queued on the calling thread's compute stream (caffe/util/gpu_context.hpp) and done
// in that order. Functions return before it is done, unless they say that they wait.

#include <cstddef>
#include <memory>
#include <string>

#include "kernels/stream.hpp"

struct CUevent_st;  // what a cudaEvent_t points to

namespace caffe {

class GpuUsage;

namespace device {

using maap::Stream;

int count();
/// What there is instead of GPU `id`: "there is no GPU 7: this machine has 1 ...", or why there is
/// none at all.
std::string why_unusable(int id);
bool usable(int id);
/// Selects GPU `id` for the calling thread. Throws an Error that says what there is, if that GPU is
/// not there.
void select(int id);
/// The calling thread's GPU.
int current();
/// A GPU's name and capabilities: "Name:  NVIDIA H100 ..." and more, one property per line.
std::string properties(int id);

/// Whether the environment has the variable with the value 1.
bool is_asked_for(const char* variable);

/// Whether products of float matrices and convolutions may round their inputs to TF32 (10 bits of
/// mantissa), which tensor cores compute faster: CAFFE_TF32=1 in the environment. Off by default,
/// so that the numbers are Caffe's.
bool allows_tf32();

/// Waits until the GPU has finished what the calling thread queued on its compute stream.
void wait();
/// Notes what the calling thread has run, for the message of an error that shows later. With
/// CAFFE_GPU_SYNC=1 in the environment, also waits, so that an error shows at its cause.
void has_run(const std::string& layer, const char* pass);

/// Memory on the calling thread's GPU, from the pool of its driver where it has one; throws
/// OutOfMemory if there is not enough. Its first use must come after this call in the order of the
/// compute stream: another stream waits first (record, wait_for).
void* allocate(size_t bytes);
/// Gives the memory back when all that was queued for it is done: by the calling thread, and by
/// threads that used it through a SyncedMemory. Any thread may call it. Null: nothing happens.
void release(void* memory) noexcept;
void fill_zero(void* memory, size_t bytes);
/// Copies in any direction between host and GPU. Waits until the copy is done if one end is memory
/// of the host.
void copy(void* to, const void* from, size_t bytes);
/// The same without waiting: memory of the host must stay as it is until the copy is done.
void copy_async(void* to, const void* from, size_t bytes);
void copy_async(void* to, const void* from, size_t bytes, Stream stream);

/// Pinned host memory, which the GPU copies directly, aligned to 64 bytes.
void* allocate_pinned(size_t bytes);
void release_pinned(void* memory) noexcept;
/// Makes existing memory of the host pinned, at the same address. False: it stays as it is.
bool pin(void* memory, size_t bytes) noexcept;
void unpin(void* memory) noexcept;

/// A point in the order of a stream's work, of which the host and other streams can wait.
using Event = std::shared_ptr<CUevent_st>;

/// The point that the compute stream, or a stream of the current GPU, has reached.
Event record();
Event record(Stream stream);
/// The calling thread's stream for copies beside the computation, see gpu_context.hpp.
Stream copy_stream();
/// The compute stream, or the given one, waits; the host does not. A null event is done.
void wait_for(const Event& event);
void wait_for(const Event& event, Stream stream);
bool is_done(const Event& event);
/// The host waits.
void finish(const Event& event);

/// An event that knows its time.
Event record_time();
/// Waits for both.
float milliseconds(const Event& from, const Event& to);

/// Who uses the GPU memory at this address: what allocate() returned or a place in it, else new.
std::shared_ptr<GpuUsage> usage_of(const void* memory);
/// Whether the memory is on the calling thread's GPU.
bool is_here(const GpuUsage& usage);
/// Call before work that reads, or writes, the memory is queued: the compute stream then waits for
/// what other threads queued for it.
void before_reading(GpuUsage* usage);
void before_writing(GpuUsage* usage);
/// The same for work on another stream of the GPU; the second after it was queued.
void before_writing_on(GpuUsage* usage, Stream stream);
void has_written_on(GpuUsage* usage, Stream stream);

}  // namespace device
}  // namespace caffe

#endif  // CAFFE_UTIL_DEVICE_HPP_
