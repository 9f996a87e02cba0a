#include "caffe/parallel/local_group.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>

#include "caffe/util/error.hpp"

namespace caffe {

namespace {

/// One call that all ranks make.
struct LocalCall {
  std::string what;            // as the first rank makes it: "a sum of 10 floats"
  std::vector<bool> has_come;  // [rank]
  int come = 0, gone = 0;      // ranks
  bool is_computed = false, is_complete = false;  // is_computed: by a rank, at this moment
  std::vector<std::string> given;                 // [rank]
  std::vector<void*> values;                      // [rank], of a sum
};

/// What the ranks share.
struct LocalState {
  explicit LocalState(int n) : size(n), has_left(n, false) {}

  const int size;
  std::mutex mutex;
  std::condition_variable change;
  std::deque<std::shared_ptr<LocalCall>> calls;  // those that not all ranks have left
  int64_t first_call = 0;                        // the number of calls[0]
  std::vector<bool> has_left;                    // [rank]
  bool is_aborted = false;
  std::string why;
};

/// values of rank 0 + rank 1 + ..., for all ranks.
template <typename Dtype>
void add_up(size_t n, const std::vector<void*>& values) {
  constexpr size_t kPart = 4096;  // stays in the cache
  Dtype sum[kPart];
  for (size_t begin = 0; begin < n; begin += kPart) {
    const size_t part = std::min(kPart, n - begin);
    const auto of_rank = [&](size_t rank) { return static_cast<Dtype*>(values[rank]) + begin; };
    std::copy_n(of_rank(0), part, sum);
    for (size_t rank = 1; rank < values.size(); ++rank) {
      const Dtype* const more = of_rank(rank);
      for (size_t i = 0; i < part; ++i) sum[i] += more[i];
    }
    for (size_t rank = 0; rank < values.size(); ++rank) std::copy_n(sum, part, of_rank(rank));
  }
}

class LocalRank : public Communicator {
 public:
  LocalRank(std::shared_ptr<LocalState> state, int rank) : state_(std::move(state)), rank_(rank) {}

  ~LocalRank() override {
    if (!sums_.empty()) abort(text_of_rank() + " left while sums that it had started were open");
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->has_left[rank_] = true;
    state_->change.notify_all();
  }

  int rank() const override { return rank_; }
  int size() const override { return state_->size; }
  int local_rank() const override { return rank_; }
  int local_size() const override { return state_->size; }

  void broadcast(int root, size_t bytes, void* data) override {
    CAFFE_CHECK(root >= 0 && root < size(), "broadcast from rank " << root << " of " << size());
    const std::string what =
        "a broadcast of " + std::to_string(bytes) + " bytes from rank " + std::to_string(root);
    std::string mine;
    if (rank_ == root) mine.assign(static_cast<const char*>(data), bytes);
    const auto call = exchange(what, std::move(mine));
    if (rank_ != root && bytes > 0) std::memcpy(data, call->given[root].data(), bytes);
  }

  std::vector<std::string> gather(const std::string& mine) override {
    return exchange("a gather", mine)->given;
  }

  void barrier() override { exchange("a barrier", ""); }

  void start_sum(size_t n, float* values) override {
    start(n, values, "a sum of " + std::to_string(n) + " floats");
  }
  void start_sum(size_t n, double* values) override {
    start(n, values, "a sum of " + std::to_string(n) + " doubles");
  }

  void wait() override {
    std::unique_lock<std::mutex> lock(state_->mutex);
    if (sums_.empty()) throw_if_aborted();
    // Sums that are complete count, so that all ranks end with the same values.
    for (; !sums_.empty(); sums_.pop_front()) finish(*sums_.front(), &lock);
  }

  void abort(const std::string& why) override {
    std::unique_lock<std::mutex> lock(state_->mutex);
    abort_locked(why);
    forget_sums(&lock);
  }

 private:
  std::string text_of_rank() const { return "rank " + std::to_string(rank_); }

  void abort_locked(const std::string& why) {
    if (!state_->is_aborted) state_->why = why;
    state_->is_aborted = true;
    state_->change.notify_all();
  }

  /// Afterwards nobody uses the values of this rank's sums, which the caller may then free.
  void forget_sums(std::unique_lock<std::mutex>* lock) {
    for (const auto& sum : sums_) {
      state_->change.wait(*lock, [&] { return !sum->is_computed; });
    }
    sums_.clear();
  }

  void throw_if_aborted() const {
    if (state_->is_aborted) throw Error(state_->why);
  }

  /// The call that this rank makes next, which it has come to when this returns.
  std::shared_ptr<LocalCall> come(const std::string& what) {
    throw_if_aborted();
    const size_t index = static_cast<size_t>(next_call_++ - state_->first_call);
    if (index == state_->calls.size()) {
      state_->calls.push_back(std::make_shared<LocalCall>());
      LocalCall& call = *state_->calls.back();
      call.what = what;
      call.has_come.resize(size(), false);
      call.given.resize(size());
      call.values.resize(size());
    }
    const std::shared_ptr<LocalCall> call = state_->calls[index];
    if (call->what != what) {
      abort_locked("the ranks make different calls: " + call->what + ", but " + text_of_rank() +
                   " " + what + ". All ranks must have the same net and solver");
      throw_if_aborted();
    }
    call->has_come[rank_] = true;
    ++call->come;
    return call;
  }

  /// Waits until all have come, and a sum is computed; then leaves the call.
  void finish(LocalCall& call, std::unique_lock<std::mutex>* lock) {
    state_->change.wait(*lock, [&] {
      return call.is_complete || (!call.is_computed && (state_->is_aborted || misses(call) >= 0));
    });
    if (!call.is_complete) {
      if (!state_->is_aborted) {
        abort_locked("rank " + std::to_string(misses(call)) + " has ended; " + text_of_rank() +
                     " waits for it in " + call.what);
      }
      forget_sums(lock);
      throw_if_aborted();
    }
    ++call.gone;
    while (!state_->calls.empty() && state_->calls.front()->gone == size()) {
      state_->calls.pop_front();
      ++state_->first_call;
    }
  }

  /// A rank that has left the group without coming; -1 if there is none.
  int misses(const LocalCall& call) const {
    for (int rank = 0; rank < size(); ++rank) {
      if (state_->has_left[rank] && !call.has_come[rank]) return rank;
    }
    return -1;
  }

  std::shared_ptr<LocalCall> exchange(const std::string& what, std::string mine) {
    std::unique_lock<std::mutex> lock(state_->mutex);
    const auto call = come(what);
    call->given[rank_] = std::move(mine);
    if (call->come == size()) {
      call->is_complete = true;
      state_->change.notify_all();
    }
    finish(*call, &lock);
    return call;
  }

  template <typename Dtype>
  void start(size_t n, Dtype* values, const std::string& what) {
    std::unique_lock<std::mutex> lock(state_->mutex);
    const auto call = come(what);
    call->values[rank_] = values;
    sums_.push_back(call);
    if (call->come < size()) return;
    call->is_computed = true;
    lock.unlock();
    add_up<Dtype>(n, call->values);
    lock.lock();
    call->is_computed = false;
    call->is_complete = true;
    state_->change.notify_all();
  }

  const std::shared_ptr<LocalState> state_;
  const int rank_;
  int64_t next_call_ = 0;
  std::deque<std::shared_ptr<LocalCall>> sums_;  // started, not yet waited for
};

}  // namespace

std::vector<std::shared_ptr<Communicator>> LocalGroup::make(int n) {
  CAFFE_CHECK(n >= 1, "a group of " << n << " ranks: it must have 1 or more");
  const auto state = std::make_shared<LocalState>(n);
  std::vector<std::shared_ptr<Communicator>> ranks;
  for (int rank = 0; rank < n; ++rank) ranks.push_back(std::make_shared<LocalRank>(state, rank));
  return ranks;
}

}  // namespace caffe
