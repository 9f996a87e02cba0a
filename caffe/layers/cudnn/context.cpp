#include "caffe/layers/cudnn/context.hpp"

#include "caffe/util/error.hpp"
#include "caffe/util/gpu_context.hpp"

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
  std::shared_ptr<void>& mine = GpuContext::current().cudnn();
  if (mine == nullptr) mine = std::make_shared<Context>();
  return *static_cast<Context*>(mine.get());
}

Context::Context() {
  check(cudnnCreate(&handle_), "starting");
  check(cudnnSetStream(handle_, GpuContext::current().stream()), "choosing the stream");
}

Context::~Context() {
  cudnnDestroy(handle_);
}

void* Context::workspace(size_t bytes) {
  return bytes == 0 ? nullptr : GpuContext::current().workspace(bytes);
}

}  // namespace cudnn
}  // namespace caffe
