#ifndef CAFFE_UTIL_ACTIVE_HPP_
#define CAFFE_UTIL_ACTIVE_HPP_

// Small arithmetic on a blob's active_data() or active_diff(), for layers that have no kernel
// themselves.

#include "caffe/common.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

/// x[i] = value
template <typename Dtype>
void active_set(int n, Dtype value, Dtype* x) {
  if (Caffe::mode() == Caffe::GPU) {
    caffe_gpu_set(n, value, x);
  } else {
    caffe_set(n, value, x);
  }
}

/// y[i] += x[i]
template <typename Dtype>
void active_add(int n, const Dtype* x, Dtype* y) {
  if (Caffe::mode() == Caffe::GPU) {
    caffe_gpu_add(n, x, y, y);
  } else {
    caffe_add(n, x, y, y);
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ACTIVE_HPP_
