// Plans by cuDNN 9's graph interface, through NVIDIA's cudnn-frontend.
//
// cuDNN's heuristics choose the kernel; with CAFFE_CUDNN_AUTOTUNE=1 in the environment the fastest
// of those that they name first, which may be another one in the next run. Kernels whose results
// change from run to run are left out if there are others, so that a seed gives the same numbers
// again; kernels that round float inputs to TF32 are left out unless CAFFE_TF32=1 allows them.

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include "caffe/layers/cudnn/conv_plan.hpp"

#include <cuda_runtime.h>
#include <cudnn_frontend.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "caffe/layers/cudnn/context.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"
#include "caffe/util/gpu_context.hpp"

namespace caffe {
namespace cudnn {

namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

constexpr int64_t kFirst = 1, kSecond = 2, kResult = 3;
/// The most that one plan may take; faster plans that need more are left out.
constexpr int64_t kMostWorkspace = int64_t(1) << 30;
/// How many of the heuristics' kernels are timed.
constexpr int64_t kTried = 8;

/// Row-major strides.
std::vector<int64_t> strides(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> result(lengths.size(), 1);
  for (size_t i = lengths.size() - 1; i > 0; --i) result[i - 1] = result[i] * lengths[i];
  return result;
}

Tensor tensor(fe::graph::Graph* graph, int64_t id, const std::vector<int64_t>& lengths) {
  return graph->tensor(
      fe::graph::Tensor_attributes().set_uid(id).set_dim(lengths).set_stride(strides(lengths)));
}

template <typename Attributes>
Attributes window(const ConvShape& s) {
  return Attributes().set_padding(s.pad).set_stride(s.stride).set_dilation(s.dilation);
}

/// Adds the operation to the graph and returns its result, with the result's lengths.
Tensor operation(fe::graph::Graph* graph, ConvPass pass, const ConvShape& s,
                 std::vector<int64_t>* lengths) {
  if (pass == ConvPass::kForward) {
    *lengths = s.y;
    return graph->conv_fprop(tensor(graph, kFirst, s.x), tensor(graph, kSecond, s.w),
                             window<fe::graph::Conv_fprop_attributes>(s));
  }
  if (pass == ConvPass::kData) {
    *lengths = s.x;
    return graph->conv_dgrad(tensor(graph, kFirst, s.y), tensor(graph, kSecond, s.w),
                             window<fe::graph::Conv_dgrad_attributes>(s));
  }
  *lengths = s.w;
  return graph->conv_wgrad(tensor(graph, kSecond, s.y), tensor(graph, kFirst, s.x),
                           window<fe::graph::Conv_wgrad_attributes>(s));
}

size_t bytes(const std::vector<int64_t>& lengths, bool is_double) {
  size_t size = is_double ? sizeof(double) : sizeof(float);
  for (const int64_t length : lengths) size *= static_cast<size_t>(length);
  return size;
}

/// Memory for one trial of a plan.
std::shared_ptr<void> zeros(const std::vector<int64_t>& lengths, bool is_double) {
  const size_t size = bytes(lengths, is_double);
  std::shared_ptr<void> memory(device::allocate(size), device::release);
  device::fill_zero(memory.get(), size);
  return memory;
}

/// Milliseconds of the second of two runs.
template <typename F>
float milliseconds(const F& run) {
  cudaEvent_t start, stop;
  cudaEventCreate(&start);
  cudaEventCreate(&stop);
  const auto stream = GpuContext::current().stream();
  run();
  cudaEventRecord(start, stream);
  run();
  cudaEventRecord(stop, stream);
  cudaEventSynchronize(stop);
  float time = std::numeric_limits<float>::max();
  cudaEventElapsedTime(&time, start, stop);
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  return time;
}

class GraphPlan : public ConvPlan {
 public:
  /// Null if cuDNN has no plan without the kernels that have one of the notes `without`.
  static std::shared_ptr<GraphPlan> make(ConvPass pass, const ConvShape& shape,
                                         const std::vector<fe::NumericalNote_t>& without) {
    auto plan = std::make_shared<GraphPlan>();
    fe::graph::Graph& graph = plan->graph_;
    const auto type = shape.is_double ? fe::DataType_t::DOUBLE : fe::DataType_t::FLOAT;
    graph.set_io_data_type(type).set_intermediate_data_type(type).set_compute_data_type(type);
    std::vector<int64_t> lengths;
    const Tensor result = operation(&graph, pass, shape, &lengths);
    result->set_output(true).set_uid(kResult).set_dim(lengths).set_stride(strides(lengths));
    if (graph.validate().is_bad() ||
        graph.build_operation_graph(Context::current().handle()).is_bad() ||
        graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}).is_bad()) {
      return nullptr;
    }
    graph.deselect_numeric_notes(without);
    graph.deselect_workspace_greater_than(kMostWorkspace);
    if (graph.check_support().is_bad()) return nullptr;
    const bool chosen = autotunes() ? plan->choose_fastest(pass, shape) : plan->choose_first();
    return chosen ? plan : nullptr;
  }

  void run(const void* first, const void* second, void* result) const override {
    run(index_, first, second, result);
  }
  size_t workspace() const override { return workspace_; }

 private:
  bool choose_first() {
    if (graph_.build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE).is_bad()) return false;
    workspace_ = static_cast<size_t>(std::max<int64_t>(graph_.get_workspace_size(), 0));
    return true;
  }

  bool choose_fastest(ConvPass pass, const ConvShape& s) {
    const auto x = zeros(s.x, s.is_double), w = zeros(s.w, s.is_double),
               y = zeros(s.y, s.is_double);
    const auto first = pass == ConvPass::kData ? y : x;
    const auto second = pass == ConvPass::kWeights ? y : w;
    const auto result = pass == ConvPass::kForward ? y : pass == ConvPass::kData ? x : w;
    float best = std::numeric_limits<float>::max();
    int64_t tried = 0;
    for (int64_t i = 0; i < graph_.get_execution_plan_count() && tried < kTried; ++i) {
      if (graph_.build_plan_at_index(i).is_bad()) continue;
      ++tried;
      workspace_ = std::max(workspace_, workspace_of(i));
      const float time = milliseconds([&] { run(i, first.get(), second.get(), result.get()); });
      if (time < best) {
        best = time;
        index_ = i;
      }
    }
    if (index_ >= 0) workspace_ = workspace_of(index_);
    return index_ >= 0;
  }

  size_t workspace_of(int64_t index) const {
    return static_cast<size_t>(
        std::max<int64_t>(graph_.get_workspace_size_plan_at_index(index), 0));
  }

  /// Plan `index`; below 0: the one that the heuristics chose.
  void run(int64_t index, const void* first, const void* second, void* result) const {
    Context& context = Context::current();
    std::unordered_map<int64_t, void*> pointers = {{kFirst, const_cast<void*>(first)},
                                                   {kSecond, const_cast<void*>(second)},
                                                   {kResult, result}};
    void* const workspace = context.workspace(workspace_);
    auto status = index < 0
                      ? graph_.execute(context.handle(), pointers, workspace)
                      : graph_.execute_plan_at_index(context.handle(), pointers, workspace, index);
    CAFFE_CHECK(status.is_good(), "cuDNN, a convolution: " << status.get_message());
  }

  fe::graph::Graph graph_;
  int64_t index_ = -1;
  size_t workspace_ = 0;
};

std::shared_ptr<ConvPlan> make(ConvPass pass, const ConvShape& shape) {
  std::vector<fe::NumericalNote_t> inexact;
  if (!shape.is_double && !device::allows_tf32())
    inexact.push_back(fe::NumericalNote_t::TENSOR_CORE);
  std::vector<fe::NumericalNote_t> without = inexact;
  without.push_back(fe::NumericalNote_t::NONDETERMINISTIC);
  const auto plan = GraphPlan::make(pass, shape, without);
  return plan != nullptr ? plan : GraphPlan::make(pass, shape, inexact);
}

}  // namespace

std::shared_ptr<ConvPlan> ConvPlan::find(ConvPass pass, const ConvShape& shape) {
  auto& plans = Context::current().plans(pass);
  const auto found = plans.find(shape);
  return found != plans.end() ? found->second : plans[shape] = make(pass, shape);
}

}  // namespace cudnn
}  // namespace caffe
