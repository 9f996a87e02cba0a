#ifndef CAFFE_UTIL_PLAIN_TERMS_HPP_
#define CAFFE_UTIL_PLAIN_TERMS_HPP_

#include "caffe/util/parallel.hpp"
#include "kernels/half.hpp"

namespace caffe {

/// For channel_sums: the values themselves.
template <typename T>
struct PlainTerms {
  using Value = maap::Computed<T>;
  const T* x;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return W(Value(x[i]));
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_PLAIN_TERMS_HPP_
