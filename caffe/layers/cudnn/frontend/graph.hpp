#ifndef CAFFE_LAYERS_CUDNN_FRONTEND_GRAPH_HPP_
#define CAFFE_LAYERS_CUDNN_FRONTEND_GRAPH_HPP_

// A pass of a convolution as a graph of cudnn-frontend's.

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/layers/cudnn/plan.hpp"

namespace caffe {
namespace cudnn {

/// The operands' names in a graph.
constexpr int64_t kX = 1, kW = 2, kY = 3, kBias = 4, kResult = 5;

/// Neither validated nor built: that takes no GPU and a GPU, respectively.
std::shared_ptr<cudnn_frontend::graph::Graph> describe(const Convolution& convolution);

/// Lists kernels for a graph whose operations are built, the best first: those that cuDNN's fast
/// heuristics name or, if these name none, its slower ones (on Hopper, filters of 7x7 for 512
/// channels in 16 bits, for which cuDNN's general kernels do without the tensor cores); then the
/// general ones.
cudnn_frontend::error_t list_kernels(cudnn_frontend::graph::Graph* graph);

/// The notes of kernels that are not wanted.
struct Unwanted {
  std::vector<cudnn_frontend::NumericalNote_t> numerical;
  std::vector<cudnn_frontend::BehaviorNote_t> behaviour;
};

/// What to leave out on a GPU of that compute capability (90: Hopper), the strictest first: a later
/// one is for the case that no kernel is left. Always those that compute less precisely than the
/// convolution asks for. Float: those that make 16 bits of the inputs, and those of the tensor
/// cores, which round them to TF32, unless that is allowed and there (from Ampere on; a Turing's
/// tensor cores have no TF32). 16 bits: those whose sums have less than float's precision. If
/// possible, kernels whose results change from run to run, so that a seed gives the same numbers
/// again, and kernels that are compiled at their first use, which takes seconds.
std::vector<Unwanted> unwanted(const Convolution& convolution, int capability);

/// Leaves out what is unwanted and what needs more workspace; whether a kernel is left.
cudnn_frontend::error_t select_kernels(cudnn_frontend::graph::Graph* graph,
                                       const Unwanted& unwanted, int64_t most_workspace);

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_FRONTEND_GRAPH_HPP_
