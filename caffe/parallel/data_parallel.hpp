#ifndef CAFFE_PARALLEL_DATA_PARALLEL_HPP_
#define CAFFE_PARALLEL_DATA_PARALLEL_HPP_

// Training of one net by several ranks, each with a copy of the net and its own part of the images:
// the gradients are averaged over the ranks, so all make the same update. docs/ranks.md says what
// that means for a user; Solver::TrainTogether uses this class.
//
// In an iteration's last backward pass the sum of a bucket (gradient_buckets.hpp) starts as soon as
// its gradients are complete, and is computed beside the rest of the pass. Each gradient is divided
// by the number of ranks before it is added up. With debug_info, which reads gradients at the end
// of a pass, all sums start after it; on GPUs so do those of the first iteration
// (gradient_sums.cpp says why).

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/parallel/communicator.hpp"
#include "caffe/parallel/gradient_buckets.hpp"
#include "caffe/parallel/gradient_sums.hpp"
#include "caffe/parallel/rank_votes.hpp"
#include "caffe/util/benchmark.hpp"

namespace caffe {

/// Makes the calling thread a rank: sets Caffe::solver_count and solver_rank and, if the solver has
/// no random_seed, gives all ranks the same one. Collective. Call it before the solver is made:
/// data layers choose their records when they are.
void become_rank(Communicator* ranks, SolverParameter* param);

template <typename Dtype>
class DataParallel {
 public:
  /// On a GPU: how many values may be added up from where the gradient of a learnable parameter
  /// begins, which are its own and zeros up to the next parameter's, if gradients were laid side by
  /// side; 0 if not. Gradients that touch, both of them laid so, are added up together. The same on
  /// all ranks, which is checked in the first iteration.
  typedef std::function<size_t(int param)> Room;

  /// Of this thread's rank. Throws if solver_count or solver_rank are not the communicator's.
  DataParallel(Net<Dtype>* net, std::shared_ptr<Communicator> ranks, Room room);
  ~DataParallel();

  Communicator& ranks() { return *ranks_; }
  bool is_root() const { return ranks_->rank() == 0; }

  // ---- before an iteration; all of these are collective

  /// Throws on all ranks, and names the first line that differs, unless all give the same text.
  void check_same(const std::string& text);
  /// Rank 0's values to all. Values that were never written are 0 and get no memory.
  void broadcast(Blob<Dtype>* blob);
  void broadcast(const std::vector<Blob<Dtype>*>& blobs);
  template <typename T>
  void broadcast(T* value) {
    ranks_->broadcast(0, sizeof(T), value);
  }
  /// Gives every layer that keeps running statistics (BatchNorm, BN) the mean of all ranks' on all
  /// ranks. Statistics that are equal stay as they are, bit for bit.
  void average_statistics();
  Dtype mean(Dtype value);

  // ---- an iteration

  /// The next backward pass completes the gradients. With `late_start` no sum starts in it.
  void begin_last_pass(bool late_start);
  void request(bool stop, bool snapshot) { votes_.request(stop, snapshot); }
  /// Waits for the gradients' sums and returns what all ranks know. `stops`: a loss that is not
  /// finite ends the training.
  RankVerdict<Dtype> finish(Dtype loss, bool stops);
  /// In GPU mode, within a scope of late values; the loss must be at gpu_loss(). Waits for nothing:
  /// what is queued behind this call sees the mean gradients.
  Dtype* gpu_loss() { return votes_.gpu_loss(); }
  void finish_late(bool stops, LateValues* late,
                   std::function<void(const RankVerdict<Dtype>&)> then);
  /// On a rank that is well, when `verdict` says that another has failed: throws that rank's error.
  [[noreturn]] void throw_error_of(const RankVerdict<Dtype>& verdict);

  /// Collective. In CPU mode: for which rank the others waited since the last call, and for how
  /// long; "" if for none.
  std::string describe_waits();

  /// Calls work(). If it throws, the other ranks are told why, and end.
  void guard(const std::function<void()>& work);

 private:
  typedef std::vector<std::pair<Dtype*, size_t>> Places;

  void after_layer(int layer);
  void start(size_t bucket);
  void start_on_cpu(const GradientBucket& bucket, Blob<Dtype>* small);
  void start_on_gpu(const GradientBucket& bucket);
  void check_rooms();
  void start_rest();
  void put_back();
  GradientSums<Dtype>* sums();

  Net<Dtype>* const net_;
  const std::shared_ptr<Communicator> ranks_;
  const Room room_;
  const std::vector<GradientBucket> buckets_;
  const Dtype share_;  // 1 / ranks
  std::unique_ptr<GradientSums<Dtype>> sums_;
  RankVotes<Dtype> votes_;
  std::vector<std::unique_ptr<Blob<Dtype>>> small_;  // [bucket]: copies of small gradients
  bool is_last_pass_ = false, has_checked_rooms_ = false;
  size_t started_ = 0;  // buckets, in this iteration
  double waited_ = 0;   // s, for the sums
  CPUTimer since_waits_;

  DISABLE_COPY_AND_ASSIGN(DataParallel);
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_DATA_PARALLEL_HPP_
