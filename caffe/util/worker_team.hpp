#ifndef CAFFE_UTIL_WORKER_TEAM_HPP_
#define CAFFE_UTIL_WORKER_TEAM_HPP_

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// Threads that share the items of a loop: for work whose parts take different times and are not
/// arithmetic, such as decoding images. They are separate from OpenMP's threads, which compute the
/// net.
class WorkerTeam {
 public:
  /// Creates this number of threads, including the one that calls run().
  explicit WorkerTeam(int threads);

  int threads() const { return static_cast<int>(team_->threads.size()) + 1; }
  /// Whether this process made the threads, not the one from which it was forked.
  bool is_ours() const { return team_.is_ours(); }
  /// Calls work(i) for each i in [0, n). The calls begin in this order, and item 0 begins before
  /// any other. If items fail, throws the exception of the first of them; later items may then be
  /// skipped. A forked child cannot run a team that its parent made.
  void run(int n, const std::function<void(int)>& work);

 private:
  struct Team {
    ~Team();
    void wait_for_work();
    void take_items();

    vector<std::thread> threads;
    std::mutex mutex;
    std::condition_variable start, done;
    const std::function<void(int)>* work = nullptr;
    int items = 0;
    std::atomic<int> next{0};
    int round = 0;   // counts the calls of run()
    int active = 0;  // threads that take items, not counting the caller
    bool stop = false;
    int failed = 0;
    std::exception_ptr error;
  };
  maap::OfProcess<Team> team_;

  DISABLE_COPY_AND_ASSIGN(WorkerTeam);
};

/// The number of threads with which a data layer decodes images: the environment variable
/// CAFFE_DATA_THREADS, otherwise the number of cores this process may use, up to 4.
int data_threads();

}  // namespace caffe

#endif  // CAFFE_UTIL_WORKER_TEAM_HPP_
