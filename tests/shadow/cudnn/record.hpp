#ifndef TESTS_SHADOW_CUDNN_RECORD_HPP_
#define TESTS_SHADOW_CUDNN_RECORD_HPP_

// What tests ask of the stand-in for cuDNN.

#include <cstddef>
#include <functional>
#include <vector>

#include "caffe/layers/cudnn/plan.hpp"

namespace shadow_cudnn {

using caffe::cudnn::Convolution;

/// The passes that were started since clear(), in order.
std::vector<Convolution> runs();
/// Forgets them and everything below.
void clear();

constexpr size_t kWorkspace = 4096;
/// What plans built from now on ask for.
void need_workspace(size_t bytes);

/// From now on, build() refuses the convolutions for which this is true.
void refuse(std::function<bool(const Convolution&)> refused);

/// From now on, a plan finds out whether something else wrote to its workspace while it ran: a
/// Fault of the call that waits. Costs a second library call.
void watch_workspaces();

}  // namespace shadow_cudnn

#endif  // TESTS_SHADOW_CUDNN_RECORD_HPP_
