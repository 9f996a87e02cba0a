#ifndef CAFFE_UTIL_CEIL_DIV_HPP_
#define CAFFE_UTIL_CEIL_DIV_HPP_

namespace caffe {

/// a / b, rounded up, of numbers that are not negative.
inline int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_CEIL_DIV_HPP_
