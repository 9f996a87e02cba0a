#ifndef CAFFE_UTIL_COPY_ROWS_HPP_
#define CAFFE_UTIL_COPY_ROWS_HPP_

namespace caffe {

/// Copies `rows` rows of `length` values between arrays whose rows begin `from_stride` and
/// `to_stride` values apart, on the device that the thread's mode selects. The arrays must not
/// overlap.
template <typename Dtype>
void copy_rows(int rows, int length, const Dtype* from, int from_stride, Dtype* to, int to_stride);

}  // namespace caffe

#endif  // CAFFE_UTIL_COPY_ROWS_HPP_
