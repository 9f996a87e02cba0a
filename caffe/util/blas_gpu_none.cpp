// The functions of blas_gpu.cpp in a build without CUDA: all throw.

#include "caffe/common.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/mixed_gemm.hpp"

namespace caffe {

namespace {

[[noreturn]] void fail() {
  throw Error(device::why_unusable(0));
}

}  // namespace

template <typename T>
void caffe_gpu_gemm(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, T, const T*, const T*, T, T*) {
  fail();
}

template <typename T>
void caffe_gpu_gemv(CBLAS_TRANSPOSE, int, int, T, const T*, const T*, T, T*) {
  fail();
}

template <typename T>
void caffe_gpu_dot(int, const T*, const T*, T*) {
  fail();
}

template <typename T>
void caffe_gpu_asum(int, const T*, T*) {
  fail();
}

void gpu_gemm_of(ValueType, bool, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, float,
                 const void*, const void*, float, float*) {
  fail();
}

void caffe_gpu_memset(size_t, int, void*) {
  fail();
}

#define INSTANTIATE(T)                                                                          \
  template void caffe_gpu_gemm<T>(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, T, const T*, \
                                  const T*, T, T*);                                             \
  template void caffe_gpu_gemv<T>(CBLAS_TRANSPOSE, int, int, T, const T*, const T*, T, T*);     \
  template void caffe_gpu_dot<T>(int, const T*, const T*, T*);                                  \
  template void caffe_gpu_asum<T>(int, const T*, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
