#ifndef CAFFE_UTIL_MKL_ALTERNATE_HPP_
#define CAFFE_UTIL_MKL_ALTERNATE_HPP_

// Names of Intel MKL that layers in Caffe's style use: y[i] = f(a[i]) or f(a[i], b[i]), n times.
// vsExp is for float, vdExp for double, vExp for both. They call caffe_exp etc., which this
// repository's own code uses; cblas_saxpby and cblas_daxpby are OpenBLAS's.

#include "caffe/util/math_functions.hpp"

#define CAFFE_MKL_UNARY(name, function)                     \
  template <typename Dtype>                                 \
  void v##name(int n, const Dtype* a, Dtype* y) {           \
    ::caffe::function(n, a, y);                             \
  }                                                         \
  inline void vs##name(int n, const float* a, float* y) {   \
    ::caffe::function(n, a, y);                             \
  }                                                         \
  inline void vd##name(int n, const double* a, double* y) { \
    ::caffe::function(n, a, y);                             \
  }
#define CAFFE_MKL_BINARY(name, function)                                     \
  template <typename Dtype>                                                  \
  void v##name(int n, const Dtype* a, const Dtype* b, Dtype* y) {            \
    ::caffe::function(n, a, b, y);                                           \
  }                                                                          \
  inline void vs##name(int n, const float* a, const float* b, float* y) {    \
    ::caffe::function(n, a, b, y);                                           \
  }                                                                          \
  inline void vd##name(int n, const double* a, const double* b, double* y) { \
    ::caffe::function(n, a, b, y);                                           \
  }

CAFFE_MKL_UNARY(Sqr, caffe_sqr)
CAFFE_MKL_UNARY(Sqrt, caffe_sqrt)
CAFFE_MKL_UNARY(Exp, caffe_exp)
CAFFE_MKL_UNARY(Ln, caffe_log)
CAFFE_MKL_UNARY(Abs, caffe_abs)
CAFFE_MKL_BINARY(Add, caffe_add)
CAFFE_MKL_BINARY(Sub, caffe_sub)
CAFFE_MKL_BINARY(Mul, caffe_mul)
CAFFE_MKL_BINARY(Div, caffe_div)

#undef CAFFE_MKL_UNARY
#undef CAFFE_MKL_BINARY

/// y[i] = a[i] ^ b
template <typename Dtype>
void vPowx(int n, const Dtype* a, Dtype b, Dtype* y) {
  ::caffe::caffe_powx(n, a, b, y);
}
inline void vsPowx(int n, const float* a, float b, float* y) {
  vPowx(n, a, b, y);
}
inline void vdPowx(int n, const double* a, double b, double* y) {
  vPowx(n, a, b, y);
}

#endif  // CAFFE_UTIL_MKL_ALTERNATE_HPP_
