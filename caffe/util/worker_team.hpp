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

/// Threads that share the items of a loop: for work whose parts take unequally long and are no
/// arithmetic, such as decoding images. They are apart from OpenMP's threads, which keep to the
/// net.
class WorkerTeam {
 public:
  /// So many threads, the one that calls run() among them.
  explicit WorkerTeam(int threads);
  ~WorkerTeam();

  int threads() const { return static_cast<int>(threads_.size()) + 1; }
  /// work(i) for each i in [0, n); they begin in this order, and item 0 has begun when another one
  /// does. Throws what the first item that failed threw; those behind it may be left out then.
  void run(int n, const std::function<void(int)>& work);

 private:
  void wait_for_work();
  void take_items();

  vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(int)>* work_ = nullptr;
  int items_ = 0;
  std::atomic<int> next_{0};
  int round_ = 0;   // counts the calls of run()
  int active_ = 0;  // threads that take items, the caller aside
  bool stop_ = false;
  int failed_ = 0;
  std::exception_ptr error_;

  DISABLE_COPY_AND_ASSIGN(WorkerTeam);
};

/// Threads that a data layer decodes images with: CAFFE_DATA_THREADS of the environment, else as
/// many as this process may use, up to 4.
int data_threads();

}  // namespace caffe

#endif  // CAFFE_UTIL_WORKER_TEAM_HPP_
