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

/// The notes of the kernels that compute less precisely than the convolution asks for, on a GPU of
/// that compute capability (90: Hopper). Float: those that make 16 bits of the inputs, and those of
/// the tensor cores, which round them to TF32, unless that is allowed and there (from Ampere on; a
/// Turing's tensor cores have no TF32). 16 bits: those whose sums have less than float's precision.
std::vector<cudnn_frontend::NumericalNote_t> too_inexact(const Convolution& convolution,
                                                         int capability);

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_FRONTEND_GRAPH_HPP_
