#include "caffe/layers/cudnn/frontend/handle.hpp"

#include <memory>

#include "caffe/layers/cudnn/plans.hpp"
#include "caffe/util/error.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"

namespace caffe {
namespace cudnn {

namespace {

struct Handle {
  cudnnHandle_t value = nullptr;
  Handle() {
    check(cudnnCreate(&value), "starting");
    check(cudnnSetStream(value, GpuContext::current().stream()), "choosing the stream");
  }
  ~Handle() { cudnnDestroy(value); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

}  // namespace

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  CAFFE_FAIL("cuDNN, " << what << ": " << cudnnGetErrorString(status) << gpu_reason());
}

cudnnHandle_t handle() {
  std::shared_ptr<void>& mine = Plans::current().library();
  if (mine == nullptr) mine = std::make_shared<Handle>();
  return static_cast<Handle*>(mine.get())->value;
}

}  // namespace cudnn
}  // namespace caffe
