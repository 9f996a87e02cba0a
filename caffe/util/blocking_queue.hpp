#ifndef CAFFE_UTIL_BLOCKING_QUEUE_HPP_
#define CAFFE_UTIL_BLOCKING_QUEUE_HPP_

#include <queue>
#include <string>

#include "caffe/internal_thread.hpp"

namespace caffe {

/// A queue between threads. An InternalThread can be stopped while it waits in pop() or peek(). In
/// a forked child, its parent's queues throw an Error and may be destroyed.
template <typename T>
class BlockingQueue {
 public:
  BlockingQueue() = default;

  void push(const T& t) {
    Shared& shared = ours();
    {
      const std::lock_guard<std::mutex> lock(shared.mutex);
      shared.queue.push(t);
    }
    shared.change.notify_one();
  }
  /// False if the queue is empty.
  bool try_pop(T* t) {
    Shared& shared = ours();
    const std::lock_guard<std::mutex> lock(shared.mutex);
    if (shared.queue.empty()) return false;
    *t = shared.take();
    return true;
  }
  /// Waits while the queue is empty. Before waiting it logs the text, if any (every 1000th time).
  T pop(const string& log_on_wait = "") {
    if (!log_on_wait.empty() && size() == 0) {
      const maap::NoFork while_logging;
      LOG_EVERY_N(INFO, 1000) << log_on_wait;
    }
    Shared& shared = ours();
    return wait(&shared, [&shared] { return shared.take(); });
  }
  bool try_peek(T* t) {
    Shared& shared = ours();
    const std::lock_guard<std::mutex> lock(shared.mutex);
    if (shared.queue.empty()) return false;
    *t = shared.queue.front();
    return true;
  }
  T peek() {
    Shared& shared = ours();
    return wait(&shared, [&shared] { return shared.queue.front(); });
  }
  size_t size() const {
    Shared& shared = ours();
    const std::lock_guard<std::mutex> lock(shared.mutex);
    return shared.queue.size();
  }

 private:
  struct Shared {
    std::queue<T> queue;
    std::mutex mutex;
    std::condition_variable change;
    T take() {
      T t = queue.front();
      queue.pop();
      return t;
    }
  };

  Shared& ours() const {
    CAFFE_CHECK(shared_.is_ours(),
                "this queue belongs to the process from which this one was forked: its threads are "
                "not here");
    return *shared_;
  }
  template <typename Take>
  static T wait(Shared* shared, const Take& take) {
    return Interruption::Wait(
        &shared->mutex, &shared->change, [shared] { return !shared->queue.empty(); }, take);
  }

  maap::OfProcess<Shared> shared_{new Shared()};

  DISABLE_COPY_AND_ASSIGN(BlockingQueue);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BLOCKING_QUEUE_HPP_
