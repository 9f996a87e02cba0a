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
CAFFE_HD inline T value_of(const NormalisedValues<T>& y, int c, int i) {
  return y.kept != nullptr ? y.kept[i] : (y.x[i] - y.mean[c]) * y.factor[c];
}

/// For channel_sums: dy and dy y.
template <typename T>
struct NormalisedProducts {
  using Value = T;
  NormalisedValues<T> y;
  const T* dy;  // [outer, channels, inner]
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return W(dy[i]);
  }
  template <typename W>
  CAFFE_HD Product<W> second(int c, int i) const {
    return {W(dy[i]), W(value_of(y, c, i))};
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_NORMALISED_VALUES_HPP_
