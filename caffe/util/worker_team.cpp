#include "caffe/util/worker_team.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace caffe {

WorkerTeam::WorkerTeam(int threads) : team_(new Team()) {
  Team* const team = team_.get();
  try {
    for (int i = 1; i < threads; ++i) {
      team->threads.emplace_back([team] { team->wait_for_work(); });
    }
  } catch (const std::system_error& error) {
    LOG(WARNING) << this->threads() << " threads instead of " << threads << ": " << error.what();
  }
}

WorkerTeam::Team::~Team() {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    stop = true;
  }
  start.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void WorkerTeam::run(int n, const std::function<void(int)>& work) {
  CAFFE_CHECK(team_.is_ours(),
              "these threads belong to the process from which this one was forked");
  Team& team = *team_;
  {
    const std::lock_guard<std::mutex> lock(team.mutex);
    team.work = &work;
    team.items = n;
    team.next = 0;
    team.error = nullptr;
    ++team.round;
  }
  if (n > 1) team.start.notify_all();
  team.take_items();
  std::unique_lock<std::mutex> lock(team.mutex);
  team.done.wait(lock, [&team] { return team.active == 0; });
  team.work = nullptr;
  if (team.error != nullptr) std::rethrow_exception(team.error);
}

void WorkerTeam::Team::wait_for_work() {
  int seen = 0;
  std::unique_lock<std::mutex> lock(mutex);
  for (;;) {
    start.wait(lock, [&] { return stop || round != seen; });
    if (stop) return;
    seen = round;
    if (work == nullptr) continue;  // the others have done it all
    ++active;
    lock.unlock();
    take_items();
    lock.lock();
    if (--active == 0) done.notify_one();
  }
}

void WorkerTeam::Team::take_items() {
  for (;;) {
    const int i = next++;
    if (i >= items) return;
    try {
      (*work)(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (error == nullptr || i < failed) {
        failed = i;
        error = std::current_exception();
      }
      next = items;
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
