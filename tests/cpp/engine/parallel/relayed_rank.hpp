#ifndef TESTS_CPP_ENGINE_PARALLEL_RELAYED_RANK_HPP_
#define TESTS_CPP_ENGINE_PARALLEL_RELAYED_RANK_HPP_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/parallel/communicator.hpp"

namespace caffe {

/// Hands every call to another Communicator. A test derives a class that changes some.
class RelayedRank : public Communicator {
 public:
  explicit RelayedRank(std::shared_ptr<Communicator> rank) : rank_(std::move(rank)) {}
  int rank() const override { return rank_->rank(); }
  int size() const override { return rank_->size(); }
  int local_rank() const override { return rank_->local_rank(); }
  int local_size() const override { return rank_->local_size(); }
  void broadcast(int root, size_t bytes, void* data) override {
    rank_->broadcast(root, bytes, data);
  }
  std::vector<std::string> gather(const std::string& mine) override { return rank_->gather(mine); }
  void barrier() override { rank_->barrier(); }
  void start_sum(size_t n, float* values) override { rank_->start_sum(n, values); }
  void start_sum(size_t n, double* values) override { rank_->start_sum(n, values); }
  void wait() override { rank_->wait(); }
  std::string failure() override { return rank_->failure(); }
  void abort(const std::string& why) override { rank_->abort(why); }

 private:
  const std::shared_ptr<Communicator> rank_;
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_PARALLEL_RELAYED_RANK_HPP_
