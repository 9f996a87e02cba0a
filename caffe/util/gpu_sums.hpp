#ifndef CAFFE_UTIL_GPU_SUMS_HPP_
#define CAFFE_UTIL_GPU_SUMS_HPP_

namespace caffe {

/// *sum, on the GPU, becomes the sum over i < n of x[i] y[i] or, without y, of |x[i]|. Nearly
/// as exact as in double, in an order that depends on n alone; waits for nothing.
template <typename T>
void gpu_sum(int n, const T* x, const T* y, T* sum);

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_SUMS_HPP_
