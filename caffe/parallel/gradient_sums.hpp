#ifndef CAFFE_PARALLEL_GRADIENT_SUMS_HPP_
#define CAFFE_PARALLEL_GRADIENT_SUMS_HPP_

// Adds up gradients over all ranks where they are: in the host's memory by a Communicator, on GPUs
// by NCCL (nccl_sums.hpp).

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "caffe/parallel/communicator.hpp"

namespace caffe {

template <typename Dtype>
class GradientSums {
 public:
  virtual ~GradientSums() = default;
  /// Begins to add up values [n] of the device that the thread's mode selects, in place; every rank
  /// gets the same bits. On a GPU: after the work that the thread's stream holds now.
  virtual void start(size_t n, Dtype* values) = 0;
  /// The sums are complete when it returns; on a GPU: before work that is queued later.
  virtual void wait() = 0;
  /// On a GPU, call it when the host has waited for the stream after wait(), before it uses what
  /// was computed with the sums: throws an Error if they never came, because a rank has failed.
  /// Then the stream goes on with any values.
  virtual void check() {}
  /// Ends the sums of all ranks of this process that wait on GPUs, where a Communicator's abort()
  /// does not reach them; their calls then throw with this text. Call that abort() first.
  virtual void abort(const std::string& /*why*/) noexcept {}
};

template <typename Dtype>
class HostSums : public GradientSums<Dtype> {
 public:
  explicit HostSums(std::shared_ptr<Communicator> ranks) : ranks_(std::move(ranks)) {}
  void start(size_t n, Dtype* values) override { ranks_->start_sum(n, values); }
  void wait() override { ranks_->wait(); }

 private:
  std::shared_ptr<Communicator> ranks_;
};

/// For the thread's mode. In GPU mode this is collective: all ranks call it, each on its own GPU.
/// There the sums up to the first wait() start in it, after a barrier of the ranks, and the host
/// waits for them.
template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_gradient_sums(std::shared_ptr<Communicator> ranks);

}  // namespace caffe

#endif  // CAFFE_PARALLEL_GRADIENT_SUMS_HPP_
