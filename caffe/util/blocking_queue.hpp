#ifndef CAFFE_UTIL_BLOCKING_QUEUE_HPP_
#define CAFFE_UTIL_BLOCKING_QUEUE_HPP_

#include <queue>
#include <string>

#include "caffe/internal_thread.hpp"

namespace caffe {

/// A queue between threads. An InternalThread can be stopped while it waits in pop() or peek().
template <typename T>
class BlockingQueue {
 public:
  BlockingQueue() = default;

  void push(const T& t) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.push(t);
    }
    change_.notify_one();
  }
  /// False if the queue is empty.
  bool try_pop(T* t) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.empty()) return false;
    *t = take();
    return true;
  }
  /// Waits while the queue is empty. Before waiting it logs the text, if any (every 1000th time).
  T pop(const string& log_on_wait = "") {
    if (!log_on_wait.empty() && size() == 0) {
      LOG_EVERY_N(INFO, 1000) << log_on_wait;
    }
    return wait([this] { return take(); });
  }
  bool try_peek(T* t) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.empty()) return false;
    *t = queue_.front();
    return true;
  }
  T peek() {
    return wait([this] { return queue_.front(); });
  }
  size_t size() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return queue_.size();
  }

 private:
  template <typename Take>
  T wait(const Take& take) {
    return Interruption::Wait(&mutex_, &change_, [this] { return !queue_.empty(); }, take);
  }
  T take() {
    T t = queue_.front();
    queue_.pop();
    return t;
  }

  std::queue<T> queue_;
  mutable std::mutex mutex_;
  std::condition_variable change_;

  DISABLE_COPY_AND_ASSIGN(BlockingQueue);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BLOCKING_QUEUE_HPP_
