#include "caffe/layers/cudnn/context.hpp"

#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"

namespace caffe {
namespace cudnn {

void check(cudnnStatus_t status, const char* what) {
  CAFFE_CHECK(status == CUDNN_STATUS_SUCCESS,
              "cuDNN, " << what << ": " << cudnnGetErrorString(status));
}

bool autotunes() {
  static const bool asked = device::is_asked_for("CAFFE_CUDNN_AUTOTUNE");
  return asked;
}

Context& Context::current() {
  static thread_local std::map<int, std::unique_ptr<Context>> of_this_thread;
  std::unique_ptr<Context>& context = of_this_thread[device::current()];
  if (context == nullptr) context.reset(new Context());
  return *context;
}

Context::Context() {
  check(cudnnCreate(&handle_), "starting");
}

Context::~Context() {
  cudnnDestroy(handle_);
}

void* Context::workspace(size_t bytes) {
  if (bytes > bytes_) {
    workspace_.reset();
    bytes_ = 0;
    workspace_.reset(device::allocate(bytes), device::release);
    bytes_ = bytes;
  }
  return workspace_.get();
}

}  // namespace cudnn
}  // namespace caffe
