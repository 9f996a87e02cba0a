#ifndef CAFFE_UTIL_THIN_GEMM_HPP_
#define CAFFE_UTIL_THIN_GEMM_HPP_

// Products of matrices for a fully connected layer: a large weight matrix and few images. Their
// cost is the memory traffic of the large matrix, and the BLAS, which copies its operands into
// panels, pays it several times. These functions read it once, and with many images they multiply
// at the processor's rate. caffe/util/thin_gemm_kernels.hpp is their source for all sets of
// instructions.

#include <cblas.h>

#include <vector>

namespace caffe {

/// The three products for one instruction set, of matrices row by row, with M, M and K images.
struct ThinKernels {
  const char* isa;  // "AVX2" or "AVX-512"
  /// C (M x N) = alpha A (M x K) B (N x K)^T + beta C
  void (*nt)(int M, int N, int K, float alpha, const float* A, const float* B, float beta,
             float* C);
  /// C (M x N) = alpha A (M x K) B (K x N) + beta C
  void (*nn)(int M, int N, int K, float alpha, const float* A, const float* B, float beta,
             float* C);
  /// C (M x N) = alpha A (K x M)^T B (K x N) + beta C
  void (*tn)(int M, int N, int K, float alpha, const float* A, const float* B, float beta,
             float* C);
};

/// The kernels that this processor can run, the fastest last; none on other processors than x86-64
/// with AVX2 and FMA.
std::vector<const ThinKernels*> thin_kernels();

/// Those that products use (caffe/util/cpu_isa.hpp), or null.
const ThinKernels* chosen_thin_kernels();

/// C = alpha op(A) op(B) + beta C, like caffe_cpu_gemm, if there are `kernels` and the shape makes
/// them faster; otherwise returns false and does nothing. The result is the same bits for any
/// number of threads.
bool thin_gemm(const ThinKernels* kernels, CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M,
               int N, int K, float alpha, const float* A, const float* B, float beta, float* C);

/// The same with the chosen kernels.
bool thin_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, float alpha,
               const float* A, const float* B, float beta, float* C);

namespace thin {

constexpr int kMostImages = 64;  // with more, the BLAS is as fast

/// A buffer for `count` values, aligned to 64 bytes, that belongs to the calling thread and is
/// valid until its next call.
float* workspace(size_t count);

extern const ThinKernels kAvx2, kAvx512;  // exist on x86-64 only

}  // namespace thin

}  // namespace caffe

#endif  // CAFFE_UTIL_THIN_GEMM_HPP_
