#ifndef CAFFE_PARALLEL_NCCL_SUMS_HPP_
#define CAFFE_PARALLEL_NCCL_SUMS_HPP_

// Gradients of several GPUs, added up by NVIDIA's NCCL. The build takes nccl_none.cpp where it has
// no NCCL.

#include <memory>
#include <string>

#include "caffe/parallel/gradient_sums.hpp"

namespace caffe {

/// Whether this build has NCCL.
bool has_nccl();

/// For a rank in GPU mode; collective. Throws an Error if this build has no NCCL.
template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_nccl_sums(std::shared_ptr<Communicator> ranks);

}  // namespace caffe

#endif  // CAFFE_PARALLEL_NCCL_SUMS_HPP_
