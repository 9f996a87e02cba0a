#ifndef CAFFE_UTIL_OPEN_MESSAGE_HPP_
#define CAFFE_UTIL_OPEN_MESSAGE_HPP_

#include <string>

namespace caffe {

/// Which message of a prototxt is never closed: "; the '{' of 'layer' in line 3 is never closed",
/// the first one if there are several, or "" if all are closed.
std::string open_message(const std::string& text);

}  // namespace caffe

#endif  // CAFFE_UTIL_OPEN_MESSAGE_HPP_
