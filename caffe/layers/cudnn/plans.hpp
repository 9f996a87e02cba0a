#ifndef CAFFE_LAYERS_CUDNN_PLANS_HPP_
#define CAFFE_LAYERS_CUDNN_PLANS_HPP_

// What all cuDNN layers of a thread share on one GPU, as a part of the thread's GpuContext: the
// plans, so that two layers of one shape choose once. The workspace is the context's.
//
//   CAFFE_CUDNN_LAYERS        what cuDNN computes: a list of Convolution, Deconvolution and Fusion
//                             (a convolution's bias and ReLU in its own kernel), or all, or none;
//                             not set: Convolution,Deconvolution
//   CAFFE_CUDNN_WORKSPACE_MB  the most that a plan may take (1024 if not set); a faster one that
//                             needs more is left out

#include <cstddef>
#include <map>
#include <memory>

#include "caffe/layers/cudnn/plan.hpp"

namespace caffe {
namespace cudnn {

enum class Feature { kConvolution, kDeconvolution, kFusion };

/// Whether CAFFE_CUDNN_LAYERS leaves it to cuDNN; an Error if that has a name that is none.
bool computes(Feature feature);

/// CAFFE_CUDNN_WORKSPACE_MB in bytes; an Error if it is not a number.
size_t most_workspace();

class Plans {
 public:
  /// Those of the calling thread and its GPU.
  static Plans& current();
  Plans() = default;
  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  /// Built at the first request; null if there is none, which the log then tells.
  const Plan* find(const Convolution& convolution);
  /// At least `bytes` of GPU memory, valid until the next call; null for 0.
  void* workspace(size_t bytes);
  /// What build() keeps for all plans, cuDNN's handle.
  std::shared_ptr<void>& library() { return library_; }
  /// Runs the plan with the workspace that it needs.
  void run(const Plan& plan, const Operands& operands);

 private:
  std::shared_ptr<void> library_;
  std::map<Convolution, std::shared_ptr<Plan>> plans_;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_PLANS_HPP_
