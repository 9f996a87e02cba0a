#ifndef CAFFE_PARALLEL_NCCL_SUMS_HPP_
#define CAFFE_PARALLEL_NCCL_SUMS_HPP_

// Gradients of several GPUs, added up by NVIDIA's NCCL; nccl_rank.hpp says how. The build takes
// nccl_none.cpp where it has no NCCL: there all but has_nccl() throw an Error that says so.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/parallel/gradient_sums.hpp"

namespace caffe {

/// Whether this build has NCCL.
bool has_nccl();

/// The id of a new group of GPUs; one rank makes it, and all connect with it.
std::string new_nccl_id();

template <typename Dtype>
class NcclSums : public GradientSums<Dtype> {
 public:
  /// Values, and how many they are.
  typedef std::pair<size_t, Dtype*> Part;
  /// As start() of each, with less work for the host.
  virtual void start_together(const std::vector<Part>& parts) = 0;
  /// Each part of rank `root` to all, in the order of start().
  virtual void broadcast(int root, const std::vector<Part>& parts) = 0;
};

/// Collective; each rank on its own GPU.
template <typename Dtype>
std::unique_ptr<NcclSums<Dtype>> connect_gpus(const std::string& id, int rank, int size);

/// The same for the ranks of a Communicator, which bring the id to all.
template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_nccl_sums(std::shared_ptr<Communicator> ranks);

}  // namespace caffe

#endif  // CAFFE_PARALLEL_NCCL_SUMS_HPP_
