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
#include <cstdint>
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

  /// Built at the first request; null if there is none, which the log then tells. Valid until the
  /// next call: of more than kMost plans those go that were not used for the longest time, but for
  /// those that an iteration was recorded with.
  const Plan* find(const Convolution& convolution);

  /// A plan and its workspace of GPU memory, valid until the next call.
  struct Ready {
    const Plan* plan = nullptr;  // null: there is none
    char* workspace = nullptr;   // null if nothing was asked for
    size_t bytes = 0;            // of the plan's part, a multiple of 256
  };
  /// With `behind` bytes more behind the plan's part. If there is not so much memory, a plan is
  /// built that needs less, and kept; an OutOfMemory if there is none.
  Ready prepare(const Convolution& convolution, size_t behind = 0);
  /// Runs a plan with the workspace that it needs; false if there is none.
  bool run(const Convolution& convolution, const Operands& operands);

  /// What build() keeps for all plans, cuDNN's handle.
  std::shared_ptr<void>& library() { return library_; }

  static constexpr size_t kMost = 1024;

 private:
  struct Entry {
    std::shared_ptr<Plan> plan;
    uint64_t used = 0;
    bool is_recorded = false;  // a recorded graph may have it
  };
  Entry* entry_of(const Convolution& convolution);
  void forget_oldest();

  std::shared_ptr<void> library_;
  std::map<Convolution, Entry> plans_;
  uint64_t uses_ = 0;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_PLANS_HPP_
