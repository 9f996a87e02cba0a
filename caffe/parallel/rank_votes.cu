#include "caffe/parallel/rank_votes.hpp"

#include <cmath>

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

// The places of votes_.
enum Vote { kLoss, kStop, kSnapshot, kOfRank };
// What a rank votes at kOfRank + its number. A sum that was broken off has the first of ranks whose
// votes did not come.
enum State { kUnheard, kWell, kNotFinite, kFailed };

/// Writes all votes but the loss, which is there.
template <typename T>
struct WriteVotes {
  int rank, size;
  bool stop, snapshot, stops;
  const int* has_failed;
  T* votes;  // [kOfRank + size]
  CAFFE_HD void operator()(int) const {
    const T loss = votes[kLoss];
    const bool is_finite = loss - loss == T(0);
    votes[kStop] = stop ? T(1) : T(0);
    votes[kSnapshot] = snapshot ? T(1) : T(0);
    for (int r = 0; r < size; ++r) votes[kOfRank + r] = T(r == rank ? kWell : kUnheard);
    if (*has_failed != 0) {
      votes[kOfRank + rank] = T(kFailed);
    } else if (stops && !is_finite) {
      votes[kOfRank + rank] = T(kNotFinite);
    }
  }
};

/// All ranks stop if one does, or was not heard.
template <typename T>
struct TakeVotes {
  int size;
  const T* votes;  // [kOfRank + size]
  int* stop;
  T* copy;  // [kOfRank + size]
  CAFFE_HD void operator()(int) const {
    for (int i = 0; i < kOfRank + size; ++i) copy[i] = votes[i];
    for (int r = 0; r < size; ++r) {
      if (votes[kOfRank + r] != T(kWell)) *stop = 1;
    }
  }
};

}  // namespace

template <typename Dtype>
RankVotes<Dtype>::RankVotes(int rank, int size)
    : rank_(rank), size_(size), votes_(vector<int>{kOfRank + size}) {}

template <typename Dtype>
void RankVotes<Dtype>::request(bool stop, bool snapshot) {
  stop_ = stop;
  snapshot_ = snapshot;
}

template <typename Dtype>
void RankVotes<Dtype>::start(Dtype loss, bool stops, GradientSums<Dtype>* sums) {
  Dtype* const votes = votes_.mutable_cpu_data();
  votes[kLoss] = loss;
  const int failed = 0;
  WriteVotes<Dtype>{rank_, size_, stop_, snapshot_, stops, &failed, votes}(0);
  sums->start(votes_.count(), votes);
}

template <typename Dtype>
RankVerdict<Dtype> RankVotes<Dtype>::read() {
  return verdict_of(votes_.cpu_data());
}

template <typename Dtype>
Dtype* RankVotes<Dtype>::gpu_loss() {
  return votes_.mutable_gpu_data() + kLoss;
}

template <typename Dtype>
void RankVotes<Dtype>::start_on_gpu(bool stops, LateValues* late, GradientSums<Dtype>* sums) {
  Dtype* const votes = votes_.mutable_gpu_data();
  parallel_for(Device::kGPU, 1,
               WriteVotes<Dtype>{rank_, size_, stop_, snapshot_, stops, late->stop(), votes});
  sums->start(votes_.count(), votes);
}

template <typename Dtype>
void RankVotes<Dtype>::read_late(LateValues* late,
                                 std::function<void(const RankVerdict<Dtype>&)> then) {
  Dtype* const copy = late->place<Dtype>(
      votes_.count(), [this, then](const Dtype* votes) { then(verdict_of(votes)); });
  parallel_for(Device::kGPU, 1, TakeVotes<Dtype>{size_, votes_.gpu_data(), late->stop(), copy});
}

template <typename Dtype>
RankVerdict<Dtype> RankVotes<Dtype>::verdict_of(const Dtype* votes) const {
  RankVerdict<Dtype> verdict;
  verdict.loss = votes[kLoss] / static_cast<Dtype>(size_);
  verdict.stop = votes[kStop] > 0;
  verdict.snapshot = votes[kSnapshot] > 0;
  for (int r = 0; r < size_; ++r) {
    const int state = static_cast<int>(votes[kOfRank + r]);
    if (state == kNotFinite) verdict.not_finite.push_back(r);
    if (state == kFailed || state == kUnheard) verdict.failed.push_back(r);
  }
  return verdict;
}

INSTANTIATE_CLASS(RankVotes);

}  // namespace caffe
