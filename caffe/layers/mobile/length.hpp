#ifndef CAFFE_LAYERS_MOBILE_LENGTH_HPP_
#define CAFFE_LAYERS_MOBILE_LENGTH_HPP_

#include <cstdint>
#include <limits>
#include <string>

#include "caffe/common.hpp"

namespace caffe {

/// `length` times `factor`, the length of an axis of a top. Throws an Error that begins with
/// `layer` if it is more than an int holds.
inline int longer(const std::string& layer, int length, int factor) {
  const int64_t product = static_cast<int64_t>(length) * factor;
  CAFFE_CHECK(product <= std::numeric_limits<int>::max(),
              layer << "an axis of " << product << " values is too long");
  return static_cast<int>(product);
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_LENGTH_HPP_
