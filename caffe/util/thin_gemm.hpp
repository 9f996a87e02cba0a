#ifndef CAFFE_UTIL_THIN_GEMM_HPP_
#define CAFFE_UTIL_THIN_GEMM_HPP_

// Products of matrices for a fully connected layer: a large weight matrix and few images. Their
// cost is the memory traffic of the large matrix, and the BLAS, which copies its operands into
// panels, pays it several times. These functions read it once, and with many images they multiply
// at the processor's rate. caffe/util/thin_gemm_kernels.hpp is their source for all sets of
// instructions.
//
// Measured on one Zen 5 core, weights 4096 x 9216, best of 5, in ms. Reading the weights takes 4.1
// to 4.8, reading and writing them 5.4 to 5.7; at the core's rate the products of 64 images take 39
// with AVX2 and 20 with AVX-512. With one image the first two are products with a vector, which the
// BLAS does at the memory's speed.
//
//                                     AVX2                      AVX-512
//   images                            4    8   16   32   64     4    8   16   32   64
//   top = bottom W^T        here    6.1  7.4   11   21   43   5.3  6.8  7.8   12   23
//                       OpenBLAS     12   14   22   32   52
//                         oneDNN     13   16   21   31   52    11   18   19   24   34
//   bottom' = top' W        here    5.5  5.9   10   20   40   6.2  5.3  7.0   11   21
//                       OpenBLAS     11   14   18   28   47
//                         oneDNN     12   14   20   38   71   7.9  7.1  9.3   14   24
//   W' += top'^T bottom     here    8.3  8.3   11   20   40   6.6  6.3  6.2   10   20
//                       OpenBLAS    9.6   10   14   24   41
//                         oneDNN     14   14   13   21   39   8.6  9.4   11   17   33
//
// W' of 128 and 256 images takes oneDNN 77 and 159 with AVX2, 38 and 77 with AVX-512: the rate of
// the core.

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
