#ifndef CAFFE_UTIL_ERROR_HPP_
#define CAFFE_UTIL_ERROR_HPP_

// Errors of the engine are exceptions: Python receives them as exceptions, and only the command
// line turns them into an exit status. A message says what was found, where (layer, blob, file),
// and what to do.

#include <sstream>
#include <string>
#include <vector>

#include "kernels/error.hpp"

namespace caffe {

/// The exception of the engine and of the MAAP layers.
using maap::Error;

/// A GPU has too little memory: a net adds what it needs to the log.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// "64 3 11 11", the way Caffe's log writes shapes.
template <typename Int>
std::string shape_text(const std::vector<Int>& shape) {
  std::ostringstream text;
  for (size_t i = 0; i < shape.size(); ++i) text << (i == 0 ? "" : " ") << shape[i];
  return text.str();
}

/// The candidate that takes the fewest single-letter edits to become `name` (case does not count),
/// or "" if none is close enough to be a typing error.
std::string nearest_name(const std::string& name, const std::vector<std::string>& candidates);

/// "a, b, c"
std::string join(const std::vector<std::string>& names, const std::string& separator = ", ");

}  // namespace caffe

/// Throws an Error: CAFFE_FAIL("layer '" << name << "': too few blobs").
#define CAFFE_FAIL(message)                      \
  do {                                           \
    std::ostringstream caffe_fail_text;          \
    caffe_fail_text << message;                  \
    throw ::caffe::Error(caffe_fail_text.str()); \
  } while (false)

/// Throws an Error with the message unless the condition holds. The message is built only then.
#define CAFFE_CHECK(condition, message)    \
  do {                                     \
    if (!(condition)) CAFFE_FAIL(message); \
  } while (false)

#endif  // CAFFE_UTIL_ERROR_HPP_
