// Plans by cuDNN 9's graph interface, through NVIDIA's cudnn-frontend.
//
// cuDNN's heuristics choose the kernel; with CAFFE_CUDNN_AUTOTUNE=1 in the environment the fastest
// of those that they name first, which may be another one in the next run. Kernels whose results
// change from run to run are left out if there are others, so that a seed gives the same numbers
// again; kernels that are less precise than the description asks for are left out
// (frontend/graph.hpp).
//
// A plan takes about 1 MB of the host's memory, since its graph keeps all kernels that were named.

#include "caffe/layers/cudnn/plan.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "caffe/layers/cudnn/frontend/graph.hpp"
#include "caffe/layers/cudnn/frontend/handle.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"
#include "caffe/util/gpu_capability.hpp"

namespace caffe {
namespace cudnn {

namespace {

namespace fe = cudnn_frontend;

/// How many of the heuristics' kernels are timed.
constexpr int64_t kTried = 8;

/// Memory for one trial of a plan.
std::shared_ptr<void> zeros(size_t bytes) {
  std::shared_ptr<void> memory(device::allocate(bytes), device::release);
  device::fill_zero(memory.get(), bytes);
  return memory;
}

/// Milliseconds of the second of two runs.
template <typename F>
float milliseconds(const F& run) {
  run();
  const device::Event start = device::record_time();
  run();
  return device::milliseconds(start, device::record_time());
}

class GraphPlan : public Plan {
 public:
  explicit GraphPlan(const Convolution& convolution)
      : what_(convolution.describe()),
        pass_(convolution.pass),
        has_bias_(convolution.bias),
        graph_(describe(convolution)) {}

  /// Whether cuDNN has a plan without the unwanted kernels; with `tune`, one that a trial has found
  /// to be the fastest. Not to be called again after a failure.
  bool choose(const Convolution& convolution, size_t most_workspace, const Unwanted& unwanted,
              bool tune, std::string* reason) {
    const auto succeeds = [reason](fe::error_t status) {
      if (status.is_bad()) *reason = status.get_message();
      return status.is_good();
    };
    if (!succeeds(graph_->validate()) || !succeeds(graph_->build_operation_graph(handle())) ||
        !succeeds(list_kernels(graph_.get())) ||
        !succeeds(select_kernels(graph_.get(), unwanted, static_cast<int64_t>(most_workspace)))) {
      return false;
    }
    if (tune) {
      *reason = "no kernel ran in a trial";
      return choose_fastest(convolution);
    }
    if (!succeeds(graph_->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE))) return false;
    workspace_ = positive(graph_->get_workspace_size());
    return true;
  }

  void run(const Operands& operands, void* workspace, size_t bytes) const override {
    CAFFE_CHECK(bytes >= workspace_, "cuDNN, " << what_ << ": the workspace has " << bytes
                                               << " bytes, not " << workspace_);
    run(index_, operands, workspace);
  }
  size_t workspace_bytes() const override { return workspace_; }

 private:
  static size_t positive(int64_t bytes) { return static_cast<size_t>(std::max<int64_t>(bytes, 0)); }

  /// False if no plan runs, or there is no memory to try them in.
  bool choose_fastest(const Convolution& c) {
    try {
      try_plans(c);
    } catch (const OutOfMemory&) {
      index_ = -1;
      LOG(INFO) << "no memory to time cuDNN's kernels for the " << what_;
    }
    return index_ >= 0;
  }

  void try_plans(const Convolution& c) {
    const auto operand = [&c](bool is_read, const Tensor& tensor) {
      return is_read ? zeros(c.bytes_of(tensor)) : nullptr;
    };
    const auto x = operand(c.pass != Pass::kData, c.x), w = operand(c.pass != Pass::kWeights, c.w),
               y = operand(c.pass != Pass::kForward, c.y), bias = operand(c.bias, c.w),
               result = zeros(c.bytes_of(c.result()));
    const Operands operands = {x.get(), w.get(), y.get(), bias.get(), result.get()};
    float best = std::numeric_limits<float>::max();
    int64_t tried = 0;
    for (int64_t i = 0; i < graph_->get_execution_plan_count() && tried < kTried; ++i) {
      if (graph_->build_plan_at_index(i).is_bad()) continue;
      ++tried;
      const float time = time_of(i, operands);
      if (time < best) {
        best = time;
        index_ = i;
      }
    }
    if (index_ >= 0) workspace_ = workspace_of(index_);
  }

  /// Endless if the plan does not run.
  float time_of(int64_t index, const Operands& operands) const {
    try {
      const auto workspace = zeros(std::max<size_t>(workspace_of(index), 1));
      return milliseconds([&] { run(index, operands, workspace.get()); });
    } catch (const Error&) {  // of this plan; the others may do
      return std::numeric_limits<float>::infinity();
    }
  }

  size_t workspace_of(int64_t index) const {
    return positive(graph_->get_workspace_size_plan_at_index(index));
  }

  /// Plan `index`; below 0: the one that the heuristics chose.
  void run(int64_t index, const Operands& operands, void* workspace) const {
    std::unordered_map<int64_t, void*> pointers = {{kResult, operands.result}};
    const auto add = [&pointers](int64_t id, const void* operand) {
      pointers[id] = const_cast<void*>(operand);
    };
    if (pass_ != Pass::kData) add(kX, operands.x);
    if (pass_ != Pass::kWeights) add(kW, operands.w);
    if (pass_ != Pass::kForward) add(kY, operands.y);
    if (has_bias_) add(kBias, operands.bias);
    auto status = index < 0 ? graph_->execute(handle(), pointers, workspace)
                            : graph_->execute_plan_at_index(handle(), pointers, workspace, index);
    CAFFE_CHECK(status.is_good(), "cuDNN, " << what_ << ": " << status.get_message());
  }

  std::string what_;
  Pass pass_;
  bool has_bias_;
  std::shared_ptr<fe::graph::Graph> graph_;
  int64_t index_ = -1;
  size_t workspace_ = 0;
};

}  // namespace

std::shared_ptr<Plan> build(const Convolution& convolution, size_t most_workspace,
                            std::string* reason) {
  for (const Unwanted& notes : unwanted(convolution, device::capability())) {
    // A plan whose trials failed cannot choose again.
    for (const bool tune :
         autotunes() ? std::vector<bool>{true, false} : std::vector<bool>{false}) {
      const auto plan = std::make_shared<GraphPlan>(convolution);
      if (plan->choose(convolution, most_workspace, notes, tune, reason)) return plan;
    }
  }
  return nullptr;
}

}  // namespace cudnn
}  // namespace caffe
