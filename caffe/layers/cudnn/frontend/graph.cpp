#include "caffe/layers/cudnn/frontend/graph.hpp"

#include <vector>

namespace caffe {
namespace cudnn {

namespace {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using Node = std::shared_ptr<fe::graph::Tensor_attributes>;

fe::DataType_t data_type(ValueType type) {
  switch (type) {
    case ValueType::kFloat:
      return fe::DataType_t::FLOAT;
    case ValueType::kDouble:
      return fe::DataType_t::DOUBLE;
    case ValueType::kFloat16:
      return fe::DataType_t::HALF;
    case ValueType::kBfloat16:
      return fe::DataType_t::BFLOAT16;
  }
  return fe::DataType_t::NOT_SET;
}

Node input(Graph* graph, int64_t id, const Tensor& tensor) {
  return graph->tensor(fe::graph::Tensor_attributes()
                           .set_uid(id)
                           .set_dim(tensor.lengths)
                           .set_stride(tensor.strides));
}

template <typename Attributes>
Attributes window(const Convolution& c) {
  return Attributes().set_padding(c.pad).set_stride(c.stride).set_dilation(c.dilation);
}

/// Says where the values of a node are, since a gradient's shape does not follow from the operands.
Node shaped(const Node& node, const Tensor& tensor) {
  node->set_dim(tensor.lengths).set_stride(tensor.strides);
  return node;
}

Node product(Graph* graph, const Convolution& c) {
  switch (c.pass) {
    case Pass::kForward:
      return graph->conv_fprop(input(graph, kX, c.x), input(graph, kW, c.w),
                               window<fe::graph::Conv_fprop_attributes>(c));
    case Pass::kData:
      return graph->conv_dgrad(input(graph, kY, c.y), input(graph, kW, c.w),
                               window<fe::graph::Conv_dgrad_attributes>(c));
    case Pass::kWeights:
      return graph->conv_wgrad(input(graph, kY, c.y), input(graph, kX, c.x),
                               window<fe::graph::Conv_wgrad_attributes>(c));
  }
  return nullptr;
}

/// A value for each channel.
Tensor bias(const Convolution& c) {
  std::vector<int64_t> lengths(c.y.lengths.size(), 1);
  lengths[1] = c.y.lengths[1];
  return Tensor::channels_last(lengths);
}

fe::graph::Pointwise_attributes pointwise(fe::PointwiseMode_t mode) {
  return fe::graph::Pointwise_attributes().set_mode(mode);
}

std::vector<fe::NumericalNote_t> too_inexact(const Convolution& c, int capability) {
  typedef fe::NumericalNote_t Note;
  if (is_half(c.type)) return {Note::REDUCED_PRECISION_REDUCTION};
  if (c.type != ValueType::kFloat) return {};
  if (c.tf32 && capability >= 80) return {Note::DOWN_CONVERT_INPUTS};
  return {Note::DOWN_CONVERT_INPUTS, Note::TENSOR_CORE};
}

}  // namespace

std::shared_ptr<Graph> describe(const Convolution& c) {
  auto graph = std::make_shared<Graph>();
  const auto sums = data_type(c.type == ValueType::kDouble ? c.type : ValueType::kFloat);
  graph->set_io_data_type(data_type(c.type))
      .set_intermediate_data_type(sums)
      .set_compute_data_type(sums);
  Node result = shaped(product(graph.get(), c), c.result());
  if (c.bias) {
    result = shaped(graph->pointwise(result, input(graph.get(), kBias, bias(c)),
                                     pointwise(fe::PointwiseMode_t::ADD)),
                    c.result());
  }
  if (c.relu) {
    result = shaped(graph->pointwise(result, pointwise(fe::PointwiseMode_t::RELU_FWD)), c.result());
  }
  result->set_output(true).set_uid(kResult).set_data_type(data_type(c.type));
  return graph;
}

fe::error_t list_kernels(Graph* graph) {
  if (graph->create_execution_plans({fe::HeurMode_t::A}).is_bad()) {
    auto status =
        graph->create_execution_plans({fe::HeurMode_t::B});  // without it the general ones alone
    (void)status;
  }
  auto status = graph->create_execution_plans({fe::HeurMode_t::FALLBACK});
  if (status.is_bad() && graph->get_execution_plan_count() == 0) return status;
  return {fe::error_code_t::OK, ""};
}

std::vector<Unwanted> unwanted(const Convolution& c, int capability) {
  const std::vector<fe::BehaviorNote_t> compiled = {fe::BehaviorNote_t::RUNTIME_COMPILATION};
  const std::vector<fe::NumericalNote_t> inexact = too_inexact(c, capability);
  std::vector<fe::NumericalNote_t> inexact_or_changing = inexact;
  inexact_or_changing.push_back(fe::NumericalNote_t::NONDETERMINISTIC);
  return {{inexact_or_changing, compiled}, {inexact_or_changing, {}}, {inexact, {}}};
}

fe::error_t select_kernels(Graph* graph, const Unwanted& unwanted, int64_t most_workspace) {
  graph->deselect_numeric_notes(unwanted.numerical);
  graph->deselect_behavior_notes(unwanted.behaviour);
  graph->deselect_workspace_greater_than(most_workspace);
  return graph->check_support();
}

}  // namespace cudnn
}  // namespace caffe
