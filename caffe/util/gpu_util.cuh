#ifndef CAFFE_UTIL_GPU_UTIL_CUH_
#define CAFFE_UTIL_GPU_UTIL_CUH_

// For kernels of layers in Caffe's style. This repository's own layers do not need it: their sums
// are in a fixed order.

namespace caffe {

/// *address += val, for one value at a time; returns the previous value. For float, double and the
/// integers that CUDA's atomicAdd takes.
template <typename T>
inline __device__ T caffe_gpu_atomic_add(const T val, T* address) {
  return atomicAdd(address, val);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_UTIL_CUH_
