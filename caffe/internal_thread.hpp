#ifndef CAFFE_INTERNAL_THREAD_HPP_
#define CAFFE_INTERNAL_THREAD_HPP_

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "caffe/common.hpp"

namespace caffe {

/// What a thread that is to stop throws where it waits. Not an error: let it pass.
struct Interrupted {};

/// Asks one thread to stop; wakes it where it waits.
class Interruption {
 public:
  void Request();
  bool requested() const { return requested_; }
  void Reset() { requested_ = false; }

  /// The calling thread's; null where the thread is no InternalThread's.
  static Interruption*& OfThisThread();

  /// Waits until `ready` and returns `take()`; both are called with the mutex locked. Throws
  /// Interrupted when the calling thread is asked to stop.
  template <typename Ready, typename Take>
  static auto Wait(std::mutex* mutex, std::condition_variable* change, const Ready& ready,
                   const Take& take) -> decltype(take()) {
    const Sleep sleep(mutex, change);
    std::unique_lock<std::mutex> lock(*mutex);
    change->wait(lock, [&] { return sleep.interrupted() || ready(); });
    if (sleep.interrupted()) throw Interrupted();
    return take();
  }

 private:
  /// While it lives, Request() knows what the thread waits for. It comes and goes without that
  /// mutex locked, since Request() locks both the other way round.
  class Sleep {
   public:
    Sleep(std::mutex* mutex, std::condition_variable* change);
    ~Sleep();
    bool interrupted() const { return of_ != nullptr && of_->requested_; }

   private:
    Interruption* of_;
  };

  std::atomic<bool> requested_{false};
  std::mutex mutex_;
  std::mutex* waits_with_ = nullptr;
  std::condition_variable* waits_for_ = nullptr;
};

/// A thread of an object. A class that is destroyed while the thread uses its members calls
/// StopInternalThread() in its destructor.
class InternalThread {
 public:
  InternalThread() = default;
  virtual ~InternalThread();

  /// Starts InternalThreadEntry with the calling thread's mode, GPU and rank, and random numbers
  /// that depend on its seed.
  void StartInternalThread();
  /// Asks it to stop and waits for that: at once where it waits for a queue, else when it next asks
  /// must_stop().
  void StopInternalThread();
  bool is_started() const { return thread_.joinable(); }

 protected:
  virtual void InternalThreadEntry() {}
  /// Whether the thread is asked to stop; other threads may ask, too.
  bool must_stop() { return interruption_.requested(); }

 private:
  struct Settings;
  void entry(const Settings& settings);

  Interruption interruption_;
  std::thread thread_;

  DISABLE_COPY_AND_ASSIGN(InternalThread);
};

}  // namespace caffe

#endif  // CAFFE_INTERNAL_THREAD_HPP_
