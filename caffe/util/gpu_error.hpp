#ifndef CAFFE_UTIL_GPU_ERROR_HPP_
#define CAFFE_UTIL_GPU_ERROR_HPP_

// Errors of CUDA's runtime as Errors. In a build with CUDA only.

#include <cuda_runtime.h>

#include <string>

namespace caffe {

/// Throws an Error unless the call succeeded: "what: the runtime's reason". The runtime's error
/// state is cleared, so that the next call reports its own.
///
/// Work on a GPU fails later than it was queued, and the first call that waits hears of it. The
/// message then says which layer the thread ran last (device::has_run), and how to find the one
/// that failed.
void check_gpu(cudaError_t status, const char* what);

/// The runtime's reason, with what helps: the driver's version if it is too old, that a forked
/// child cannot use its parent's GPU, and so on.
std::string gpu_error_text(cudaError_t status);

/// For an error of a library on the GPU: ": " and the runtime's reason, if it has one; ""
/// otherwise. Clears the runtime's error state, too.
std::string gpu_reason();

/// Call at each first use of the GPU: throws in a forked child whose parent has used one, which
/// CUDA cannot do.
void enter_gpu();
/// Whether this is such a child.
bool is_parents_gpu() noexcept;

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_ERROR_HPP_
