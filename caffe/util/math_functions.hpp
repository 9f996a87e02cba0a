#ifndef CAFFE_UTIL_MATH_FUNCTIONS_HPP_
#define CAFFE_UTIL_MATH_FUNCTIONS_HPP_

// Arithmetic on plain arrays, for float and double. caffe_cpu_* and caffe_* take CPU pointers,
// caffe_gpu_* GPU pointers; both functions of a pair run the same functor (math_functions.cu).
// Products of matrices and vectors use the BLAS (blas.cpp, blas_gpu.cpp); functions named for
// neither device follow the thread's mode. Without CUDA, caffe_gpu_* functions throw. Matrices are
// stored row by row. An output may also be an input if element i of the output depends on no other
// element of that input. Counts are ints, as in Caffe; 0 is allowed and does nothing.

#include <cblas.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "caffe/common.hpp"

namespace caffe {

// ---- BLAS

/// C (M x N) = alpha op(A) op(B) + beta C, with op(A) M x K and op(B) K x N. With beta 0, C is not
/// read.
template <typename Dtype>
void caffe_cpu_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K,
                    Dtype alpha, const Dtype* A, const Dtype* B, Dtype beta, Dtype* C);

/// y = alpha op(A) x + beta y, where A, as stored, is M x N.
template <typename Dtype>
void caffe_cpu_gemv(CBLAS_TRANSPOSE TransA, int M, int N, Dtype alpha, const Dtype* A,
                    const Dtype* x, Dtype beta, Dtype* y);

/// Y += alpha X
template <typename Dtype>
void caffe_axpy(int N, Dtype alpha, const Dtype* X, Dtype* Y);

/// Y = alpha X + beta Y
template <typename Dtype>
void caffe_cpu_axpby(int N, Dtype alpha, const Dtype* X, Dtype beta, Dtype* Y);

/// X *= alpha
template <typename Dtype>
void caffe_scal(int N, Dtype alpha, Dtype* X);

/// y = alpha x
template <typename Dtype>
void caffe_cpu_scale(int n, Dtype alpha, const Dtype* x, Dtype* y);

template <typename Dtype>
Dtype caffe_cpu_dot(int n, const Dtype* x, const Dtype* y);

/// The dot product of every incx-th element of x with every incy-th of y, n of each.
template <typename Dtype>
Dtype caffe_cpu_strided_dot(int n, const Dtype* x, int incx, const Dtype* y, int incy);

/// The sum of |x[i]|.
template <typename Dtype>
Dtype caffe_cpu_asum(int n, const Dtype* x);

/// y = alpha x + beta y; With beta 0, y is not read.
template <typename Dtype>
void caffe_gpu_axpby(int N, Dtype alpha, const Dtype* X, Dtype beta, Dtype* Y);
template <typename Dtype>
void caffe_gpu_scale(int n, Dtype alpha, const Dtype* x, Dtype* y);

template <typename Dtype>
void caffe_gpu_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K,
                    Dtype alpha, const Dtype* A, const Dtype* B, Dtype beta, Dtype* C);
template <typename Dtype>
void caffe_gpu_gemv(CBLAS_TRANSPOSE TransA, int M, int N, Dtype alpha, const Dtype* A,
                    const Dtype* x, Dtype beta, Dtype* y);
template <typename Dtype>
void caffe_gpu_axpy(int N, Dtype alpha, const Dtype* X, Dtype* Y);
template <typename Dtype>
void caffe_gpu_scal(int N, Dtype alpha, Dtype* X);
/// The result is written to CPU memory.
template <typename Dtype>
void caffe_gpu_dot(int n, const Dtype* x, const Dtype* y, Dtype* out);
template <typename Dtype>
void caffe_gpu_asum(int n, const Dtype* x, Dtype* y);

// The same on the device that the thread's mode selects.
template <typename Dtype>
void caffe_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, Dtype alpha,
                const Dtype* A, const Dtype* B, Dtype beta, Dtype* C);
template <typename Dtype>
void caffe_gemv(CBLAS_TRANSPOSE TransA, int M, int N, Dtype alpha, const Dtype* A, const Dtype* x,
                Dtype beta, Dtype* y);
template <typename Dtype>
Dtype caffe_dot(int n, const Dtype* x, const Dtype* y);
template <typename Dtype>
Dtype caffe_asum(int n, const Dtype* x);

// ---- memory

/// Y = X on the device that the thread's mode selects; also for int and unsigned int.
template <typename Dtype>
void caffe_copy(int N, const Dtype* X, Dtype* Y);

/// X[i] = alpha; also for int and unsigned int.
template <typename Dtype>
void caffe_set(int N, Dtype alpha, Dtype* X);
template <typename Dtype>
void caffe_gpu_set(int N, Dtype alpha, Dtype* X);

inline void caffe_memset(size_t bytes, int value, void* X) {
  std::memset(X, value, bytes);
}
/// Copies in any direction between host and GPU.
void caffe_gpu_memcpy(size_t bytes, const void* X, void* Y);
void caffe_gpu_memset(size_t bytes, int value, void* X);

// ---- element by element: y[i] = f(a[i] ...)

template <typename Dtype>
void caffe_add_scalar(int N, Dtype alpha, Dtype* X);  // X[i] += alpha
template <typename Dtype>
void caffe_gpu_add_scalar(int N, Dtype alpha, Dtype* X);

template <typename Dtype>
void caffe_add(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_add(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_sub(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_sub(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_mul(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_mul(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_div(int n, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_div(int n, const Dtype* a, const Dtype* b, Dtype* y);

template <typename Dtype>
void caffe_powx(int n, const Dtype* a, Dtype b, Dtype* y);  // y[i] = a[i] ^ b
template <typename Dtype>
void caffe_gpu_powx(int n, const Dtype* a, Dtype b, Dtype* y);

template <typename Dtype>
void caffe_sqr(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_sqr(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_sqrt(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_sqrt(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_exp(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_exp(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_log(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_log(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_abs(int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_abs(int n, const Dtype* a, Dtype* y);

/// -1, 0 or 1; 0 for NaN.
template <typename Dtype>
inline int8_t caffe_sign(Dtype value) {
  return static_cast<int8_t>((value > Dtype(0) ? 1 : 0) - (value < Dtype(0) ? 1 : 0));
}
template <typename Dtype>
void caffe_cpu_sign(int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_gpu_sign(int n, const Dtype* x, Dtype* y);
/// 1 where the sign bit is set (-0 included), else 0.
template <typename Dtype>
void caffe_cpu_sgnbit(int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_gpu_sgnbit(int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_cpu_fabs(int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_gpu_fabs(int n, const Dtype* x, Dtype* y);

// ---- random numbers, from the thread's generator into CPU memory (random.cpp). The same seed
// gives the same numbers on every machine.

unsigned int caffe_rng_rand();

/// The next larger number.
template <typename Dtype>
Dtype caffe_nextafter(Dtype b);

/// r[i] in [a, b).
template <typename Dtype>
void caffe_rng_uniform(int n, Dtype a, Dtype b, Dtype* r);

template <typename Dtype>
void caffe_rng_gaussian(int n, Dtype mu, Dtype sigma, Dtype* r);

/// r[i] = 1 with probability p, else 0.
template <typename Dtype>
void caffe_rng_bernoulli(int n, Dtype p, int* r);
template <typename Dtype>
void caffe_rng_bernoulli(int n, Dtype p, unsigned int* r);

// The same into GPU memory, computed on the GPU (random_gpu.cu). The thread's generator gives the
// key, so these numbers also depend only on the seed, but they differ from those on the CPU.

/// r[i]: 32 random bits.
void caffe_gpu_rng_uniform(int n, unsigned int* r);
template <typename Dtype>
void caffe_gpu_rng_uniform(int n, Dtype a, Dtype b, Dtype* r);
template <typename Dtype>
void caffe_gpu_rng_gaussian(int n, Dtype mu, Dtype sigma, Dtype* r);
template <typename Dtype>
void caffe_gpu_rng_bernoulli(int n, Dtype p, int* r);
template <typename Dtype>
void caffe_gpu_rng_bernoulli(int n, Dtype p, unsigned int* r);

}  // namespace caffe

#include "caffe/util/mkl_alternate.hpp"

// Functions of one array in Caffe's style, y = f(x): `operation` is a statement about x[i] and
// y[i], for the GPU about x[index] and y[index]. The second belongs to a .cu file and defines the
// float and double forms of a template that a header declares; this repository's own code uses
// parallel_for.

#define DEFINE_CAFFE_CPU_UNARY_FUNC(name, operation)             \
  template <typename Dtype>                                      \
  void caffe_cpu_##name(const int n, const Dtype* x, Dtype* y) { \
    for (int i = 0; i < n; ++i) {                                \
      operation;                                                 \
    }                                                            \
  }

#define DEFINE_AND_INSTANTIATE_GPU_UNARY_FUNC(name, operation)                       \
  template <typename Dtype>                                                          \
  __global__ void name##_kernel(const int n, const Dtype* x, Dtype* y) {             \
    CUDA_KERNEL_LOOP(index, n) {                                                     \
      operation;                                                                     \
    }                                                                                \
  }                                                                                  \
  template <>                                                                        \
  void caffe_gpu_##name<float>(const int n, const float* x, float* y) {              \
    name##_kernel<float><<<CAFFE_GET_BLOCKS(n), CAFFE_CUDA_NUM_THREADS>>>(n, x, y);  \
    CUDA_POST_KERNEL_CHECK;                                                          \
  }                                                                                  \
  template <>                                                                        \
  void caffe_gpu_##name<double>(const int n, const double* x, double* y) {           \
    name##_kernel<double><<<CAFFE_GET_BLOCKS(n), CAFFE_CUDA_NUM_THREADS>>>(n, x, y); \
    CUDA_POST_KERNEL_CHECK;                                                          \
  }

#endif  // CAFFE_UTIL_MATH_FUNCTIONS_HPP_
