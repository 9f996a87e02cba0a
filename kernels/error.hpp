#ifndef KERNELS_ERROR_HPP_
#define KERNELS_ERROR_HPP_

#include <stdexcept>
#include <string>

namespace maap {

/// An error for the user: it names the layer, blob or image and the values found, and says what to
/// do. pycaffe turns it into a Python RuntimeError with the same text.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what) : std::runtime_error(what) {}
};

}  // namespace maap

#endif  // KERNELS_ERROR_HPP_
