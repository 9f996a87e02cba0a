#ifndef CAFFE_LAYERS_CUDNN_CONTEXT_HPP_
#define CAFFE_LAYERS_CUDNN_CONTEXT_HPP_

// What all cuDNN layers of a thread share on one GPU: the handle, which works on the thread's
// compute stream, and the plans (which kernel computes which shape), so that two layers of one
// shape choose once. The workspace is the one of the thread's GpuContext.

#include <cudnn.h>

#include <cstddef>
#include <map>
#include <memory>

#include "caffe/layers/cudnn/conv_plan.hpp"

namespace caffe {
namespace cudnn {

/// Throws an Error that names `what` unless the status is a success.
void check(cudnnStatus_t status, const char* what);

/// Whether the fastest kernel is found by timing: CAFFE_CUDNN_AUTOTUNE=1 in the environment.
bool autotunes();

class Context {
 public:
  /// That of the calling thread and its GPU, made at the first use; a part of its GpuContext.
  static Context& current();
  Context();
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  cudnnHandle_t handle() const { return handle_; }
  /// At least `bytes` of GPU memory, valid until the next call; null for 0.
  void* workspace(size_t bytes);
  /// The plans of one pass; null: cuDNN has none for the shape.
  std::map<ConvShape, std::shared_ptr<ConvPlan>>& plans(ConvPass pass) { return plans_[pass]; }

 private:
  cudnnHandle_t handle_ = nullptr;
  std::map<ConvPass, std::map<ConvShape, std::shared_ptr<ConvPlan>>> plans_;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_CONTEXT_HPP_
