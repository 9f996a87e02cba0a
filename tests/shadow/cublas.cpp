// cuBLAS on the shadow device: OpenBLAS computes, in the order of the handle's stream.

#include <cblas.h>
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

#include "kernels/half.hpp"
#include "tests/shadow/library_call.hpp"
#include "tests/shadow/tf32.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
};

namespace {

CBLAS_TRANSPOSE cblas(cublasOperation_t op) {
  return op == CUBLAS_OP_N ? CblasNoTrans : CblasTrans;
}

// cblas by overload.
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha, const float* a,
          int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasColMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, double alpha,
          const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasColMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void gemv(CBLAS_TRANSPOSE t, int m, int n, float alpha, const float* a, int lda, const float* x,
          int incx, float beta, float* y, int incy) {
  cblas_sgemv(CblasColMajor, t, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
void gemv(CBLAS_TRANSPOSE t, int m, int n, double alpha, const double* a, int lda, const double* x,
          int incx, double beta, double* y, int incy) {
  cblas_dgemv(CblasColMajor, t, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
float dot(int n, const float* x, int incx, const float* y, int incy) {
  return cblas_sdot(n, x, incx, y, incy);
}
double dot(int n, const double* x, int incx, const double* y, int incy) {
  return cblas_ddot(n, x, incx, y, incy);
}
float asum(int n, const float* x, int incx) {
  return cblas_sasum(n, x, incx);
}
double asum(int n, const double* x, int incx) {
  return cblas_dasum(n, x, incx);
}
void scal(int n, float alpha, float* x, int incx) {
  cblas_sscal(n, alpha, x, incx);
}
void scal(int n, double alpha, double* x, int incx) {
  cblas_dscal(n, alpha, x, incx);
}
void axpy(int n, float alpha, const float* x, int incx, float* y, int incy) {
  cblas_saxpy(n, alpha, x, incx, y, incy);
}
void axpy(int n, double alpha, const double* x, int incx, double* y, int incy) {
  cblas_daxpy(n, alpha, x, incx, y, incy);
}

/// A factor: read during the call or when the operation runs, as the handle's pointer mode says.
template <typename T>
class Scalar {
 public:
  Scalar(cublasHandle_t handle, const T* at) {
    if (handle->pointer_mode == CUBLAS_POINTER_MODE_HOST) {
      value_ = *at;
    } else {
      at_ = at;
      shadow::check_memory("cuBLAS (a factor)", at, sizeof(T));
    }
  }
  T get() const { return at_ == nullptr ? value_ : *at_; }

 private:
  T value_ = 0;
  const T* at_ = nullptr;
};

template <typename T>
void check_matrix(const char* what, const T* at, int ld, int rows, int columns) {
  if (rows <= 0 || columns <= 0) return;
  const size_t values = static_cast<size_t>(ld) * (columns - 1) + rows;
  shadow::check_memory(what, at, values * sizeof(T));
}

template <typename T>
void check_vector(const char* what, const T* at, int n, int increment) {
  if (n > 0) {
    shadow::check_memory(what, at,
                         (static_cast<size_t>(n - 1) * std::abs(increment) + 1) * sizeof(T));
  }
}

cublasStatus_t add(const char* name, cublasHandle_t handle,
                   const std::vector<const void*>& pointers, std::function<void()> run,
                   bool waits = false) {
  const bool added =
      shadow::add_library_call(name, handle->stream, pointers, std::move(run), waits);
  return added ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

/// The values of a matrix as floats, as far as `compute` lets them be.
std::vector<float> operand(const void* at, cudaDataType_t type, cublasComputeType_t compute, int ld,
                           int rows, int columns) {
  std::vector<float> values(static_cast<size_t>(ld) * columns);
  for (int c = 0; c < columns; ++c) {
    for (int r = 0; r < rows; ++r) {
      const size_t i = static_cast<size_t>(c) * ld + r;
      values[i] = type == CUDA_R_32F   ? static_cast<const float*>(at)[i]
                  : type == CUDA_R_16F ? float(static_cast<const maap::Float16*>(at)[i])
                                       : float(static_cast<const maap::Bfloat16*>(at)[i]);
      if (compute == CUBLAS_COMPUTE_32F_FAST_TF32) values[i] = shadow::to_tf32(values[i]);
    }
  }
  return values;
}

/// A product in float whose operands are converted first.
void converted_gemm(cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k,
                    float alpha, const void* a, const void* b, cudaDataType_t type, int lda,
                    int ldb, float beta, float* c, int ldc, cublasComputeType_t compute) {
  const bool a_n = a_op == CUBLAS_OP_N, b_n = b_op == CUBLAS_OP_N;
  const std::vector<float> fa = operand(a, type, compute, lda, a_n ? m : k, a_n ? k : m);
  const std::vector<float> fb = operand(b, type, compute, ldb, b_n ? k : n, b_n ? n : k);
  gemm(cblas(a_op), cblas(b_op), m, n, k, alpha, fa.data(), lda, fb.data(), ldb, beta, c, ldc);
}

template <typename T>
cublasStatus_t batched_gemm(const char* name, cublasHandle_t handle, cublasOperation_t a_op,
                            cublasOperation_t b_op, int m, int n, int k, const T* alpha, const T* a,
                            int lda, long long a_stride, const T* b, int ldb, long long b_stride,
                            const T* beta, T* c, int ldc, long long c_stride, int count) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const int a_rows = a_op == CUBLAS_OP_N ? m : k, a_columns = a_op == CUBLAS_OP_N ? k : m;
  const int b_rows = b_op == CUBLAS_OP_N ? k : n, b_columns = b_op == CUBLAS_OP_N ? n : k;
  if (m < 0 || n < 0 || k < 0 || count < 0 || lda < std::max(1, a_rows) ||
      ldb < std::max(1, b_rows) || ldc < std::max(1, m)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  for (long long i = 0; i < count; ++i) {
    check_matrix("gemm (A)", a + i * a_stride, lda, a_rows, a_columns);
    check_matrix("gemm (B)", b + i * b_stride, ldb, b_rows, b_columns);
    check_matrix("gemm (C)", c + i * c_stride, ldc, m, n);
  }
  const Scalar<T> by(handle, alpha), keep(handle, beta);
  const bool rounds = sizeof(T) == sizeof(float) && handle->math_mode == CUBLAS_TF32_TENSOR_OP_MATH;
  return add(name, handle, {a, b, c}, [=] {
    for (long long i = 0; i < count; ++i) {
      if (rounds) {
        converted_gemm(a_op, b_op, m, n, k, static_cast<float>(by.get()), a + i * a_stride,
                       b + i * b_stride, CUDA_R_32F, lda, ldb, static_cast<float>(keep.get()),
                       reinterpret_cast<float*>(c + i * c_stride), ldc,
                       CUBLAS_COMPUTE_32F_FAST_TF32);
        continue;
      }
      gemm(cblas(a_op), cblas(b_op), m, n, k, by.get(), a + i * a_stride, lda, b + i * b_stride,
           ldb, keep.get(), c + i * c_stride, ldc);
    }
  });
}

template <typename T>
cublasStatus_t product_with_vector(const char* name, cublasHandle_t handle, cublasOperation_t op,
                                   int m, int n, const T* alpha, const T* a, int lda, const T* x,
                                   int incx, const T* beta, T* y, int incy) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (m < 0 || n < 0 || lda < std::max(1, m) || incx == 0 || incy == 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  check_matrix("gemv (A)", a, lda, m, n);
  check_vector("gemv (x)", x, op == CUBLAS_OP_N ? n : m, incx);
  check_vector("gemv (y)", y, op == CUBLAS_OP_N ? m : n, incy);
  const Scalar<T> by(handle, alpha), keep(handle, beta);
  return add(name, handle, {a, x, y},
             [=] { gemv(cblas(op), m, n, by.get(), a, lda, x, incx, keep.get(), y, incy); });
}

/// A call with one number as result: on the host, which waits for it, or on the device.
template <typename T>
cublasStatus_t reduction(const char* name, cublasHandle_t handle, std::vector<const void*> pointers,
                         T* result, const std::function<T()>& value) {
  if (handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE) {
    shadow::check_memory(name, result, sizeof(T));
    pointers.push_back(result);
    return add(name, handle, pointers, [=] { *result = value(); });
  }
  T on_host = 0;
  T* const at = &on_host;
  const cublasStatus_t status = add(name, handle, pointers, [=] { *at = value(); }, true);
  *result = on_host;
  return status;
}

}  // namespace

#define SHADOW_STATUS(X)                                                                    \
  X(SUCCESS, "the operation completed successfully")                                        \
  X(NOT_INITIALIZED, "the library was not initialized")                                     \
  X(ALLOC_FAILED, "the resource allocation failed")                                         \
  X(INVALID_VALUE, "an unsupported value or parameter was passed to the function")          \
  X(ARCH_MISMATCH, "the function requires an architectural feature absent from the device") \
  X(MAPPING_ERROR, "an access to GPU memory space failed")                                  \
  X(EXECUTION_FAILED, "the function failed to launch on the GPU")                           \
  X(INTERNAL_ERROR, "an internal operation failed")                                         \
  X(NOT_SUPPORTED, "the functionality requested is not supported")

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
#define SHADOW_CASE(name, text) \
  case CUBLAS_STATUS_##name:    \
    return "CUBLAS_STATUS_" #name;
    SHADOW_STATUS(SHADOW_CASE)
#undef SHADOW_CASE
  }
  return "an unknown status";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
#define SHADOW_CASE(name, text) \
  case CUBLAS_STATUS_##name:    \
    return text;
    SHADOW_STATUS(SHADOW_CASE)
#undef SHADOW_CASE
  }
  return "an unknown status";
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  if (!shadow::library_may_allocate()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  handle->pointer_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t* mode) {
  *mode = handle->pointer_mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->math_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  *mode = handle->math_mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t, void* workspace, size_t bytes) {
  shadow::check_memory("cublasSetWorkspace", workspace, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op,
                            int m, int n, int k, const void* alpha, const void* a,
                            cudaDataType_t a_type, int lda, const void* b, cudaDataType_t b_type,
                            int ldb, const void* beta, void* c, cudaDataType_t c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (a_type != b_type || a_type == CUDA_R_64F || c_type != CUDA_R_32F ||
      (compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a_type != CUDA_R_32F)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const int a_rows = a_op == CUBLAS_OP_N ? m : k, a_columns = a_op == CUBLAS_OP_N ? k : m;
  const int b_rows = b_op == CUBLAS_OP_N ? k : n, b_columns = b_op == CUBLAS_OP_N ? n : k;
  if (m < 0 || n < 0 || k < 0 || lda < std::max(1, a_rows) || ldb < std::max(1, b_rows) ||
      ldc < std::max(1, m)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (a_type == CUDA_R_32F) {
    check_matrix("gemm (A)", static_cast<const float*>(a), lda, a_rows, a_columns);
    check_matrix("gemm (B)", static_cast<const float*>(b), ldb, b_rows, b_columns);
  } else {
    check_matrix("gemm (A)", static_cast<const maap::Float16*>(a), lda, a_rows, a_columns);
    check_matrix("gemm (B)", static_cast<const maap::Float16*>(b), ldb, b_rows, b_columns);
  }
  float* const result = static_cast<float*>(c);
  check_matrix("gemm (C)", result, ldc, m, n);
  const Scalar<float> by(handle, static_cast<const float*>(alpha)),
      keep(handle, static_cast<const float*>(beta));
  return add("cublasGemmEx", handle, {a, b, c}, [=] {
    converted_gemm(a_op, b_op, m, n, k, by.get(), a, b, a_type, lda, ldb, keep.get(), result, ldc,
                   compute);
  });
}

#define SHADOW_CUBLAS(S, T)                                                                       \
  cublasStatus_t cublas##S##gemm(                                                                 \
      cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, \
      const T* alpha, const T* a, int lda, const T* b, int ldb, const T* beta, T* c, int ldc) {   \
    return batched_gemm<T>("cublas" #S "gemm", handle, a_op, b_op, m, n, k, alpha, a, lda, 0, b,  \
                           ldb, 0, beta, c, ldc, 0, 1);                                           \
  }                                                                                               \
  cublasStatus_t cublas##S##gemmStridedBatched(                                                   \
      cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, \
      const T* alpha, const T* a, int lda, long long a_stride, const T* b, int ldb,               \
      long long b_stride, const T* beta, T* c, int ldc, long long c_stride, int count) {          \
    return batched_gemm<T>("cublas" #S "gemmStridedBatched", handle, a_op, b_op, m, n, k, alpha,  \
                           a, lda, a_stride, b, ldb, b_stride, beta, c, ldc, c_stride, count);    \
  }                                                                                               \
  cublasStatus_t cublas##S##gemv(cublasHandle_t handle, cublasOperation_t op, int m, int n,       \
                                 const T* alpha, const T* a, int lda, const T* x, int incx,       \
                                 const T* beta, T* y, int incy) {                                 \
    return product_with_vector<T>("cublas" #S "gemv", handle, op, m, n, alpha, a, lda, x, incx,   \
                                  beta, y, incy);                                                 \
  }                                                                                               \
  cublasStatus_t cublas##S##dot(cublasHandle_t handle, int n, const T* x, int incx, const T* y,   \
                                int incy, T* result) {                                            \
    if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;                                  \
    check_vector("dot (x)", x, n, incx);                                                          \
    check_vector("dot (y)", y, n, incy);                                                          \
    return reduction<T>("cublas" #S "dot", handle, {x, y}, result,                                \
                        [=] { return dot(n, x, incx, y, incy); });                                \
  }                                                                                               \
  cublasStatus_t cublas##S##asum(cublasHandle_t handle, int n, const T* x, int incx, T* result) { \
    if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;                                  \
    check_vector("asum (x)", x, n, incx);                                                         \
    return reduction<T>("cublas" #S "asum", handle, {x}, result,                                  \
                        [=] { return asum(n, x, incx); });                                        \
  }                                                                                               \
  cublasStatus_t cublas##S##scal(cublasHandle_t handle, int n, const T* alpha, T* x, int incx) {  \
    if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;                                  \
    check_vector("scal (x)", x, n, incx);                                                         \
    const Scalar<T> by(handle, alpha);                                                            \
    return add("cublas" #S "scal", handle, {x}, [=] { scal(n, by.get(), x, incx); });             \
  }                                                                                               \
  cublasStatus_t cublas##S##axpy(cublasHandle_t handle, int n, const T* alpha, const T* x,        \
                                 int incx, T* y, int incy) {                                      \
    if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;                                  \
    check_vector("axpy (x)", x, n, incx);                                                         \
    check_vector("axpy (y)", y, n, incy);                                                         \
    const Scalar<T> by(handle, alpha);                                                            \
    return add("cublas" #S "axpy", handle, {x, y}, [=] { axpy(n, by.get(), x, incx, y, incy); }); \
  }
SHADOW_CUBLAS(S, float)
SHADOW_CUBLAS(D, double)
#undef SHADOW_CUBLAS
