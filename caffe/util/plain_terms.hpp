#ifndef CAFFE_UTIL_PLAIN_TERMS_HPP_
#define CAFFE_UTIL_PLAIN_TERMS_HPP_

#include "caffe/util/parallel.hpp"

namespace caffe {

/// For channel_sums: the values themselves.
template <typename T>
struct PlainTerms {
  using Value = T;
  const T* x;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return W(x[i]);
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_PLAIN_TERMS_HPP_
