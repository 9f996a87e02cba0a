#ifndef CAFFE_UTIL_MIXED_GEMM_HPP_
#define CAFFE_UTIL_MIXED_GEMM_HPP_

// Products of matrices on a GPU in the thread's math mode (caffe/util/math_mode.hpp). Convolution
// by columns and InnerProduct use them, through caffe_gemm; caffe_gpu_gemm stays float for whoever
// calls it.

#include <cstdint>

#include "caffe/blob.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/value_type.hpp"

namespace caffe {

/// Copies n values on the GPU from one type to another.
void convert_values(int64_t n, ValueType from_type, const void* from, ValueType to_type, void* to);

/// Whether cuBLAS and cuDNN may round float operands to TF32: in math mode TF32, and in every mode
/// with CAFFE_TF32=1 in the environment. GPUs before Ampere then compute in float.
bool rounds_to_tf32();

/// C = alpha op(A) op(B) + beta C as caffe_gpu_gemm defines it, row by row. In FP16 and BF16 both
/// operands are rounded to 16 bits first, in memory that all products of the thread share; sums,
/// alpha, beta and C are float. Doubles are computed in double.
template <typename Dtype>
void mixed_gpu_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K,
                    Dtype alpha, const Dtype* A, const Dtype* B, Dtype beta, Dtype* C);

/// C = A op(B), M x N, on the device of the mode, for a B that has two axes and stays the same from
/// product to product. What FP16 and BF16 make of it is kept beside its values until these change.
template <typename Dtype>
void multiply_by_weights(CBLAS_TRANSPOSE TransB, int M, int N, int K, const Dtype* A,
                         const Blob<Dtype>& B, Dtype* C);

/// The same as mixed_gpu_gemm for operands of a type other than double, on the GPU; with `tf32`,
/// float ones may be rounded to TF32.
void gpu_gemm_of(ValueType type, bool tf32, CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M,
                 int N, int K, float alpha, const void* A, const void* B, float beta, float* C);

}  // namespace caffe

#endif  // CAFFE_UTIL_MIXED_GEMM_HPP_
