#ifndef CAFFE_UTIL_FORMAT_HPP_
#define CAFFE_UTIL_FORMAT_HPP_

#include <iomanip>
#include <sstream>
#include <string>

namespace caffe {

/// The number as text, with zeros before it up to `width` characters: format_int(7, 3) is "007".
inline std::string format_int(int n, int width = 0) {
  std::ostringstream text;
  text << std::setfill('0') << std::setw(width) << n;
  return text.str();
}

}  // namespace caffe

#endif  // CAFFE_UTIL_FORMAT_HPP_
