#ifndef CAFFE_UTIL_DEVICE_ALTERNATE_HPP_
#define CAFFE_UTIL_DEVICE_ALTERNATE_HPP_

// Names for layers written in Caffe's style, with the GPU methods in a .cu file of their own:
// STUB_GPU for a Caffe built without CUDA (CPU_ONLY), which leaves that file out; with CUDA, what
// its kernels and their launches use. This repository's own layers need none of them.

#include <vector>

#include "caffe/util/error.hpp"

#define NO_GPU CAFFE_FAIL("cannot use the GPU: this Caffe was built without CUDA")

#ifdef CPU_ONLY

#define STUB_GPU(classname)                                                                       \
  template <typename Dtype>                                                                       \
  void classname<Dtype>::Forward_gpu(const std::vector<Blob<Dtype>*>&,                            \
                                     const std::vector<Blob<Dtype>*>&) {                          \
    NO_GPU;                                                                                       \
  }                                                                                               \
  template <typename Dtype>                                                                       \
  void classname<Dtype>::Backward_gpu(const std::vector<Blob<Dtype>*>&, const std::vector<bool>&, \
                                      const std::vector<Blob<Dtype>*>&) {                         \
    NO_GPU;                                                                                       \
  }

#define STUB_GPU_FORWARD(classname, funcname)                                 \
  template <typename Dtype>                                                   \
  void classname<Dtype>::funcname##_##gpu(const std::vector<Blob<Dtype>*>&,   \
                                          const std::vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                   \
  }

#define STUB_GPU_BACKWARD(classname, funcname)                                \
  template <typename Dtype>                                                   \
  void classname<Dtype>::funcname##_##gpu(const std::vector<Blob<Dtype>*>&,   \
                                          const std::vector<bool>&,           \
                                          const std::vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                   \
  }

namespace caffe {

class CudaLibraries {};

}  // namespace caffe

#else  // with CUDA

#include <cublas_v2.h>
#include <cuda.h>
#include <cuda_runtime.h>
#include <curand.h>
#include <driver_types.h>

/// Throws an Error that shows the call and the reason, unless the call succeeds. The runtime's
/// error state is cleared, so that the next call reports its own.
#define CAFFE_CUDA_CALL(success, describe, ...)                   \
  do {                                                            \
    const auto caffe_status = (__VA_ARGS__);                      \
    if (caffe_status != success) {                                \
      cudaGetLastError();                                         \
      CAFFE_FAIL(#__VA_ARGS__ << ": " << describe(caffe_status)); \
    }                                                             \
  } while (false)
#define CUDA_CHECK(...) CAFFE_CUDA_CALL(cudaSuccess, ::cudaGetErrorString, __VA_ARGS__)
#define CUBLAS_CHECK(...) \
  CAFFE_CUDA_CALL(CUBLAS_STATUS_SUCCESS, ::caffe::cublasGetErrorString, __VA_ARGS__)
#define CURAND_CHECK(...) \
  CAFFE_CUDA_CALL(CURAND_STATUS_SUCCESS, ::caffe::curandGetErrorString, __VA_ARGS__)

/// After a launch, on any stream: throws an Error if the kernel could not be started. A launch
/// without a stream is on the legacy default stream, which this engine's streams wait for and which
/// waits for them (caffe/util/gpu_context.hpp).
#define CUDA_POST_KERNEL_CHECK CUDA_CHECK(cudaPeekAtLastError())

/// In a kernel: the loop of this thread over its share of [0, n), int i. It counts in 64 bits,
/// since an int that grows by the size of the grid would wrap for an n above 2^30.
#define CUDA_KERNEL_LOOP(i, n)                                                                 \
  for (long long caffe_at_##i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; \
       caffe_at_##i < (n); caffe_at_##i += static_cast<long long>(blockDim.x) * gridDim.x)     \
    if (int i = static_cast<int>(caffe_at_##i); true)

namespace caffe {

/// A status as text: "CUBLAS_STATUS_NOT_INITIALIZED".
const char* cublasGetErrorString(cublasStatus_t error);
const char* curandGetErrorString(curandStatus_t error);

/// Threads of a block.
const int CAFFE_CUDA_NUM_THREADS = 512;

/// Blocks for N threads; at least one, as a launch of none is an error.
inline int CAFFE_GET_BLOCKS(const int N) {
  return N < 1 ? 1 : (N - 1) / CAFFE_CUDA_NUM_THREADS + 1;
}

/// X *= alpha, in a stream.
template <typename Dtype>
void caffe_gpu_scal(const int N, const Dtype alpha, Dtype* X, cudaStream_t str);

/// What class Caffe has in a build with CUDA only. A handle belongs to the calling thread and its
/// current GPU; it is made at the first use, works on the thread's stream, and exists as long as
/// the thread.
class CudaLibraries {
 public:
  static cublasHandle_t cublas_handle();
  /// Caffe::set_random_seed sets its seed as well.
  static curandGenerator_t curand_generator();
};

}  // namespace caffe

#endif  // CPU_ONLY

#endif  // CAFFE_UTIL_DEVICE_ALTERNATE_HPP_
