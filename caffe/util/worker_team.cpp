#include "caffe/util/worker_team.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace caffe {

WorkerTeam::WorkerTeam(int threads) {
  try {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this] { wait_for_work(); });
  } catch (const std::system_error& error) {
    LOG(WARNING) << threads_.size() + 1 << " threads instead of " << threads << ": "
                 << error.what();
  }
}

WorkerTeam::~WorkerTeam() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerTeam::run(int n, const std::function<void(int)>& work) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_ = &work;
    items_ = n;
    next_ = 0;
    error_ = nullptr;
    ++round_;
  }
  if (n > 1) start_.notify_all();
  take_items();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return active_ == 0; });
  work_ = nullptr;
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void WorkerTeam::wait_for_work() {
  int seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    start_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) return;
    seen = round_;
    if (work_ == nullptr) continue;  // the others have done it all
    ++active_;
    lock.unlock();
    take_items();
    lock.lock();
    if (--active_ == 0) done_.notify_one();
  }
}

void WorkerTeam::take_items() {
  for (;;) {
    const int i = next_++;
    if (i >= items_) return;
    try {
      (*work_)(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (error_ == nullptr || i < failed_) {
        failed_ = i;
        error_ = std::current_exception();
      }
      next_ = items_;
    }
  }
}

int data_threads() {
  const int usable = std::max(1, std::min(4, omp_get_num_procs()));
  const char* const text = std::getenv("CAFFE_DATA_THREADS");
  if (text == nullptr || *text == '\0') return usable;
  char* end = nullptr;
  const long asked = std::strtol(text, &end, 10);  // NOLINT(runtime/int)
  CAFFE_CHECK(*end == '\0' && asked >= 1 && asked <= 256,
              "CAFFE_DATA_THREADS is '" << text << "': it must be a number from 1 to 256");
  return static_cast<int>(asked);
}

}  // namespace caffe
