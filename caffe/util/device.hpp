#ifndef CAFFE_UTIL_DEVICE_HPP_
#define CAFFE_UTIL_DEVICE_HPP_

// The few things the engine asks of a GPU's runtime. One file implements them (device.cu), so that
// whoever uses memory needs no conditional: without CUDA each of them throws an Error that says so,
// except count(), which is 0, and usable(), which is false.

#include <cstddef>
#include <string>

namespace caffe {
namespace device {

int count();
bool usable(int id);
/// Makes GPU `id` the one of the calling thread.
void select(int id);
/// The calling thread's GPU.
int current();
/// What a GPU is called and what it can do: "Name:  NVIDIA H100 ..." and more, one property a line.
std::string properties(int id);

/// Waits until the calling thread's GPU has done all that it was given.
void wait();

/// Memory on the calling thread's GPU; throws when there is not enough.
void* allocate(size_t bytes);
void release(void* memory) noexcept;
void fill_zero(void* memory, size_t bytes);
/// Copies in any direction, host or GPU, and waits for it.
void copy(void* to, const void* from, size_t bytes);

/// Host memory that the GPU copies from without a detour.
void* allocate_pinned(size_t bytes);
void release_pinned(void* memory) noexcept;

}  // namespace device
}  // namespace caffe

#endif  // CAFFE_UTIL_DEVICE_HPP_
