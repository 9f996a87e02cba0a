#ifndef CAFFE_UTIL_NORMALISED_VALUES_HPP_
#define CAFFE_UTIL_NORMALISED_VALUES_HPP_

// What the gradients of layers that normalise channels share. For .cu files only
// (kernels/parallel.hpp).

#include "caffe/util/channel_norm.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

/// Value i, of channel c.
template <typename T>
CAFFE_HD inline maap::Computed<T> value_of(const NormalisedValues<T>& y, int c, int i) {
  using C = maap::Computed<T>;
  return y.kept != nullptr ? C(y.kept[i]) : (y.x[i] - y.mean[c]) * y.factor[c];
}

/// For channel_sums: dy and dy y.
template <typename T>
struct NormalisedProducts {
  using Value = maap::Computed<T>;
  NormalisedValues<T> y;
  const T* dy;  // [outer, channels, inner]
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return W(Value(dy[i]));
  }
  template <typename W>
  CAFFE_HD Product<W> second(int c, int i) const {
    return {W(Value(dy[i])), W(value_of(y, c, i))};
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_NORMALISED_VALUES_HPP_
