#include <cstdlib>
#include <cstring>

#include "caffe/util/device.hpp"

namespace caffe {
namespace device {

bool is_asked_for(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

bool allows_tf32() {
  static const bool asked = is_asked_for("CAFFE_TF32");
  return asked;
}

}  // namespace device
}  // namespace caffe
