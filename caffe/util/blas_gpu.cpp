// Products of matrices and vectors on the GPU, through cuBLAS. In a build without CUDA,
// blas_gpu_none.cpp has these functions.

#include <cublas_v2.h>

#include "caffe/common.hpp"
#include "caffe/util/gpu_capability.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/mixed_gemm.hpp"

namespace caffe {

namespace {

const char* const kReadsSum = "reads a sum on the host";

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  CAFFE_FAIL("cuBLAS, " << what << ": " << cublasGetStatusString(status) << gpu_reason());
}

cublasHandle_t handle() {
  return GpuContext::current().blas();
}

cublasOperation_t op(CBLAS_TRANSPOSE transpose) {
  return transpose == CblasNoTrans ? CUBLAS_OP_N : CUBLAS_OP_T;
}
cublasOperation_t opposite(CBLAS_TRANSPOSE transpose) {
  return transpose == CblasNoTrans ? CUBLAS_OP_T : CUBLAS_OP_N;
}

// cuBLAS by overload: S for float, D for double.
cublasStatus_t gemm(cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                    const float* alpha, const float* a, int lda, const float* b, int ldb,
                    const float* beta, float* c, int ldc) {
  return cublasSgemm(handle(), ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
cublasStatus_t gemm(cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                    const double* alpha, const double* a, int lda, const double* b, int ldb,
                    const double* beta, double* c, int ldc) {
  return cublasDgemm(handle(), ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
cublasStatus_t gemv(cublasOperation_t t, int m, int n, const float* alpha, const float* a,
                    const float* x, const float* beta, float* y) {
  return cublasSgemv(handle(), t, m, n, alpha, a, m, x, 1, beta, y, 1);
}
cublasStatus_t gemv(cublasOperation_t t, int m, int n, const double* alpha, const double* a,
                    const double* x, const double* beta, double* y) {
  return cublasDgemv(handle(), t, m, n, alpha, a, m, x, 1, beta, y, 1);
}
cublasStatus_t dot(int n, const float* x, const float* y, float* out) {
  return cublasSdot(handle(), n, x, 1, y, 1, out);
}
cublasStatus_t dot(int n, const double* x, const double* y, double* out) {
  return cublasDdot(handle(), n, x, 1, y, 1, out);
}
cublasStatus_t asum(int n, const float* x, float* out) {
  return cublasSasum(handle(), n, x, 1, out);
}
cublasStatus_t asum(int n, const double* x, double* out) {
  return cublasDasum(handle(), n, x, 1, out);
}

}  // namespace

// cuBLAS stores column by column, so a matrix here is its transpose there: C^T = op(B)^T op(A)^T.
template <typename T>
void caffe_gpu_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, T alpha,
                    const T* A, const T* B, T beta, T* C) {
  if (M == 0 || N == 0) return;
  if (K == 0) {
    caffe_gpu_scal(M * N, beta, C);
    return;
  }
  check(gemm(op(TransB), op(TransA), N, M, K, &alpha, B, TransB == CblasNoTrans ? N : K, A,
             TransA == CblasNoTrans ? K : M, &beta, C, N),
        "product of matrices");
}

void gpu_gemm_of(ValueType type, bool tf32, CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M,
                 int N, int K, float alpha, const void* A, const void* B, float beta, float* C) {
  CAFFE_CHECK(type != ValueType::kDouble, "a product of doubles has no float result");
  const cudaDataType_t stored = type == ValueType::kFloat     ? CUDA_R_32F
                                : type == ValueType::kFloat16 ? CUDA_R_16F
                                                              : CUDA_R_16BF;
  const bool rounds = tf32 && device::capability() >= 80;  // Ampere
  check(
      cublasGemmEx(handle(), op(TransB), op(TransA), N, M, K, &alpha, B, stored,
                   TransB == CblasNoTrans ? N : K, A, stored, TransA == CblasNoTrans ? K : M, &beta,
                   C, CUDA_R_32F, N, rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                   CUBLAS_GEMM_DEFAULT),
      "product of matrices");
}

template <typename T>
void caffe_gpu_gemv(CBLAS_TRANSPOSE TransA, int M, int N, T alpha, const T* A, const T* x, T beta,
                    T* y) {
  if (M == 0 || N == 0) {
    caffe_gpu_scal(TransA == CblasNoTrans ? M : N, beta, y);
    return;
  }
  check(gemv(opposite(TransA), N, M, &alpha, A, x, &beta, y), "product of matrix and vector");
}

template <typename T>
void caffe_gpu_dot(int n, const T* x, const T* y, T* out) {
  note_host_work(kReadsSum);
  check(dot(n, x, y, out), "product of vectors");
}

template <typename T>
void caffe_gpu_asum(int n, const T* x, T* y) {
  note_host_work(kReadsSum);
  check(asum(n, x, y), "sum");
}

void caffe_gpu_memset(size_t bytes, int value, void* X) {
  check_gpu(cudaMemsetAsync(X, value, bytes, GpuContext::current().stream()), "setting GPU memory");
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
