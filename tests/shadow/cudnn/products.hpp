#ifndef TESTS_SHADOW_CUDNN_PRODUCTS_HPP_
#define TESTS_SHADOW_CUDNN_PRODUCTS_HPP_

#include "caffe/layers/cudnn/plan.hpp"

namespace shadow_cudnn {

/// One pass of a convolution of strided tensors, as products of matrices; the operands' memory must
/// be accessible. Sums are float, or double for doubles.
void compute(const caffe::cudnn::Convolution& convolution, const caffe::cudnn::Operands& operands);

}  // namespace shadow_cudnn

#endif  // TESTS_SHADOW_CUDNN_PRODUCTS_HPP_
