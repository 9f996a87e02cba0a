#ifndef CAFFE_PARALLEL_RANK_VOTES_HPP_
#define CAFFE_PARALLEL_RANK_VOTES_HPP_

// What the ranks tell each other in every iteration, in one small sum: their losses, whether one of
// them must not update its weights, and what their users request. All ranks then do the same.
//
// On a GPU the votes are written, added up and read by kernels, in the order of the stream; the
// host gets them with the iteration's late values.

#include <functional>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/parallel/gradient_sums.hpp"
#include "caffe/util/late_values.hpp"

namespace caffe {

/// What all ranks know after the sum.
template <typename Dtype>
struct RankVerdict {
  Dtype loss = 0;  // the mean
  bool stop = false, snapshot = false;
  std::vector<int> not_finite;  // ranks whose loss is not finite, and counts
  std::vector<int> failed;  // ranks that found another error, which they throw, or were not heard
};

template <typename Dtype>
class RankVotes {
 public:
  RankVotes(int rank, int size);

  /// Requests of this rank for the next sum.
  void request(bool stop, bool snapshot);
  /// In CPU mode: the sum of this loss and of the requests has started; `stops`: a loss that is not
  /// finite counts. wait() of the sums, then read().
  void start(Dtype loss, bool stops, GradientSums<Dtype>* sums);
  RankVerdict<Dtype> read();

  /// In GPU mode, within a scope of late values: where a kernel writes this rank's loss.
  Dtype* gpu_loss();
  /// The same for the loss there. The rank also votes for an error if late.stop() is set.
  void start_on_gpu(bool stops, LateValues* late, GradientSums<Dtype>* sums);
  /// After sums->wait(). Sets late.stop() on all ranks if one voted for an error or, because the
  /// sum was broken off, was not heard; `then` gets the verdict with the late values.
  void read_late(LateValues* late, std::function<void(const RankVerdict<Dtype>&)> then);

 private:
  RankVerdict<Dtype> verdict_of(const Dtype* votes) const;

  const int rank_, size_;
  bool stop_ = false, snapshot_ = false;
  Blob<Dtype> votes_;  // loss, stops, snapshots, one value for each rank
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_RANK_VOTES_HPP_
