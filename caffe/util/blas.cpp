#include "caffe/common.hpp"
#include "caffe/util/cpu_isa.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/mixed_gemm.hpp"
#include "caffe/util/thin_gemm.hpp"

#ifdef USE_ONEDNN
#include <dnnl.h>
#endif

namespace caffe {

namespace {

#ifdef USE_ONEDNN
/// oneDNN's product. It uses this processor's vectors even if the BLAS was built for older ones or
/// told to use them, and runs on OpenMP's threads: two thread pools would compete for the cores.
/// Returns false for small products, which are faster without it.
bool onednn_gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha,
                 const float* a, int lda, const float* b, int ldb, float beta, float* c) {
  constexpr int64_t kWorthIt = 1 << 17;  // products
  if (int64_t(m) * n * k < kWorthIt) return false;
  avx512_allowed();  // tells oneDNN
  const maap::NoFork while_locked;
  const char transpose_a = ta == CblasNoTrans ? 'N' : 'T';
  const char transpose_b = tb == CblasNoTrans ? 'N' : 'T';
  return dnnl_sgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, n) ==
         dnnl_success;
}
#else
bool onednn_gemm(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, float, const float*, int,
                 const float*, int, float, float*) {
  return false;
}
#endif

// The BLAS by overload: s for float, d for double. A fork by another thread would end the threads
// of OpenBLAS in the middle of their work.
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha, const float* a,
          int lda, const float* b, int ldb, float beta, float* c) {
  if (thin_gemm(ta, tb, m, n, k, alpha, a, b, beta, c)) return;
  if (onednn_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c)) return;
  const maap::NoFork while_threads_work;
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, n);
}
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, double alpha,
          const double* a, int lda, const double* b, int ldb, double beta, double* c) {
  const maap::NoFork while_threads_work;
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, n);
}
void gemv(CBLAS_TRANSPOSE t, int m, int n, float alpha, const float* a, const float* x, float beta,
          float* y) {
  const maap::NoFork while_threads_work;
  cblas_sgemv(CblasRowMajor, t, m, n, alpha, a, n, x, 1, beta, y, 1);
}
void gemv(CBLAS_TRANSPOSE t, int m, int n, double alpha, const double* a, const double* x,
          double beta, double* y) {
  const maap::NoFork while_threads_work;
  cblas_dgemv(CblasRowMajor, t, m, n, alpha, a, n, x, 1, beta, y, 1);
}
float dot(int n, const float* x, int incx, const float* y, int incy) {
  const maap::NoFork while_threads_work;
  return cblas_sdot(n, x, incx, y, incy);
}
double dot(int n, const double* x, int incx, const double* y, int incy) {
  const maap::NoFork while_threads_work;
  return cblas_ddot(n, x, incx, y, incy);
}
float asum(int n, const float* x) {
  const maap::NoFork while_threads_work;
  return cblas_sasum(n, x, 1);
}
double asum(int n, const double* x) {
  const maap::NoFork while_threads_work;
  return cblas_dasum(n, x, 1);
}

}  // namespace

template <typename Dtype>
void caffe_cpu_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K,
                    Dtype alpha, const Dtype* A, const Dtype* B, Dtype beta, Dtype* C) {
  if (M == 0 || N == 0) return;  // the BLAS refuses a leading dimension of 0
  if (K == 0) {
    caffe_cpu_scale(M * N, beta, C, C);
    return;
  }
  if (M == 1) {  // A is a vector, transposed or not
    const bool stored_by_output = TransB != CblasNoTrans;
    caffe_cpu_gemv(stored_by_output ? CblasNoTrans : CblasTrans, stored_by_output ? N : K,
                   stored_by_output ? K : N, alpha, B, A, beta, C);
    return;
  }
  gemm(TransA, TransB, M, N, K, alpha, A, TransA == CblasNoTrans ? K : M, B,
       TransB == CblasNoTrans ? N : K, beta, C);
}

template <typename Dtype>
void caffe_cpu_gemv(CBLAS_TRANSPOSE TransA, int M, int N, Dtype alpha, const Dtype* A,
                    const Dtype* x, Dtype beta, Dtype* y) {
  const int rows = TransA == CblasNoTrans ? M : N;
  if (M == 0 || N == 0) {
    caffe_cpu_scale(rows, beta, y, y);
    return;
  }
  if (beta == Dtype(0)) caffe_set(rows, Dtype(0), y);  // some BLASes multiply what is there by 0
  gemv(TransA, M, N, alpha, A, x, beta, y);
}

template <typename Dtype>
Dtype caffe_cpu_dot(int n, const Dtype* x, const Dtype* y) {
  return dot(n, x, 1, y, 1);
}

template <typename Dtype>
Dtype caffe_cpu_strided_dot(int n, const Dtype* x, int incx, const Dtype* y, int incy) {
  return dot(n, x, incx, y, incy);
}

template <typename Dtype>
Dtype caffe_cpu_asum(int n, const Dtype* x) {
  return asum(n, x);
}

template <typename Dtype>
void caffe_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, Dtype alpha,
                const Dtype* A, const Dtype* B, Dtype beta, Dtype* C) {
  (Caffe::mode() == Caffe::GPU ? mixed_gpu_gemm<Dtype> : caffe_cpu_gemm<Dtype>)(TransA, TransB, M,
                                                                                N, K, alpha, A, B,
                                                                                beta, C);
}

template <typename Dtype>
void caffe_gemv(CBLAS_TRANSPOSE TransA, int M, int N, Dtype alpha, const Dtype* A, const Dtype* x,
                Dtype beta, Dtype* y) {
  (Caffe::mode() == Caffe::GPU ? caffe_gpu_gemv<Dtype> : caffe_cpu_gemv<Dtype>)(TransA, M, N, alpha,
                                                                                A, x, beta, y);
}

template <typename Dtype>
Dtype caffe_dot(int n, const Dtype* x, const Dtype* y) {
  if (Caffe::mode() == Caffe::CPU) return caffe_cpu_dot(n, x, y);
  Dtype result = 0;
  caffe_gpu_dot(n, x, y, &result);
  return result;
}

template <typename Dtype>
Dtype caffe_asum(int n, const Dtype* x) {
  if (Caffe::mode() == Caffe::CPU) return caffe_cpu_asum(n, x);
  Dtype result = 0;
  caffe_gpu_asum(n, x, &result);
  return result;
}

#define INSTANTIATE(T)                                                                          \
  template void caffe_gemm<T>(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, T, const T*,     \
                              const T*, T, T*);                                                 \
  template void caffe_gemv<T>(CBLAS_TRANSPOSE, int, int, T, const T*, const T*, T, T*);         \
  template T caffe_dot<T>(int, const T*, const T*);                                             \
  template T caffe_asum<T>(int, const T*);                                                      \
  template void caffe_cpu_gemm<T>(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, T, const T*, \
                                  const T*, T, T*);                                             \
  template void caffe_cpu_gemv<T>(CBLAS_TRANSPOSE, int, int, T, const T*, const T*, T, T*);     \
  template T caffe_cpu_dot<T>(int, const T*, const T*);                                         \
  template T caffe_cpu_strided_dot<T>(int, const T*, int, const T*, int);                       \
  template T caffe_cpu_asum<T>(int, const T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
