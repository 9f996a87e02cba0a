#ifndef CAFFE_UTIL_THIN_GEMM_HPP_
#define CAFFE_UTIL_THIN_GEMM_HPP_

// Products of matrices for a fully connected layer: a large weight matrix and few images. Their
// cost is the memory traffic of the large matrix, and the BLAS, which copies its operands into
// panels, pays it several times. These functions read it once.
//
// Measured on one Zen 5 core, 16 images, weights 4096 x 9216, ms. Reading the weights takes 3.9,
// reading and writing them 5.0.
//                               here  OpenBLAS (AVX2)  oneDNN's sgemm
//   top = bottom W^T             6.7             18.3            18.2
//   bottom' = top' W             7.0             18.0             9.7
//   W' += top'^T bottom          7.6             13.5            11.5

#include <cblas.h>

namespace caffe {

/// C = alpha op(A) op(B) + beta C, like caffe_cpu_gemm, if AVX-512 is allowed
/// (caffe/util/cpu_isa.hpp) and the shape makes it faster; otherwise returns false and does
/// nothing. The result is the same bits for any number of threads.
bool thin_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, float alpha,
               const float* A, const float* B, float beta, float* C);

}  // namespace caffe

#endif  // CAFFE_UTIL_THIN_GEMM_HPP_
