#ifndef CAFFE_UTIL_DEVICE_HPP_
#define CAFFE_UTIL_DEVICE_HPP_

// The few things the engine asks of a GPU's runtime. One file implements them (device.cu), so that
// code that uses memory needs no conditionals: without CUDA each function throws an Error that says
// so, except count(), which returns 0, usable(), which returns false, and the pinned memory, which
// is ordinary memory then.

#include <cstddef>
#include <string>

namespace caffe {
namespace device {

int count();
bool usable(int id);
/// Selects GPU `id` for the calling thread.
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

/// Waits until the calling thread's GPU has finished all its work.
void wait();

/// Memory on the calling thread's GPU; throws if there is not enough.
void* allocate(size_t bytes);
void release(void* memory) noexcept;
void fill_zero(void* memory, size_t bytes);
/// Copies in any direction between host and GPU, and waits until done.
void copy(void* to, const void* from, size_t bytes);

/// Pinned host memory, which the GPU copies directly, aligned to 64 bytes.
void* allocate_pinned(size_t bytes);
void release_pinned(void* memory) noexcept;

}  // namespace device
}  // namespace caffe

#endif  // CAFFE_UTIL_DEVICE_HPP_
