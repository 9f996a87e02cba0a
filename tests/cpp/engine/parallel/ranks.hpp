#ifndef TESTS_CPP_ENGINE_PARALLEL_RANKS_HPP_
#define TESTS_CPP_ENGINE_PARALLEL_RANKS_HPP_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/parallel/local_group.hpp"

namespace shadow {
__attribute__((weak)) void set_devices(int count);  // null where GPUs are real, or none are there
}  // namespace shadow

namespace caffe {

/// At least that many GPUs, if they are the shadow device's, while this object exists.
class ShadowGpus {
 public:
  explicit ShadowGpus(int count) { set(count); }
  ~ShadowGpus() { set(1); }

 private:
  static void set(int count) {
    if (shadow::set_devices != nullptr) shadow::set_devices(count);
  }
};

/// body(communicator) in n threads, the ranks of a LocalGroup, each with this thread's mode (rank r
/// on GPU r), and with solver_count and solver_rank set. Returns what each rank's Error said; ""
/// for none.
inline std::vector<std::string> run_ranks(
    int n, const std::function<void(std::shared_ptr<Communicator>)>& body) {
  auto ranks = LocalGroup::make(n);
  const Caffe::Brew mode = Caffe::mode();
  std::vector<std::string> errors(n);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < n; ++rank) {
    threads.emplace_back([&errors, &body, rank, n, mode, mine = std::move(ranks[rank])]() mutable {
      Caffe::set_mode(mode);
      Caffe::set_solver_count(n);
      Caffe::set_solver_rank(rank);
      try {
        if (mode == Caffe::GPU) Caffe::SetDevice(rank);
        body(mine);
      } catch (const Error& error) {
        errors[rank] = error.what();
      }
      mine.reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_PARALLEL_RANKS_HPP_
