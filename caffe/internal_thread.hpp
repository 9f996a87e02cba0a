#ifndef CAFFE_INTERNAL_THREAD_HPP_
#define CAFFE_INTERNAL_THREAD_HPP_

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "caffe/common.hpp"

namespace caffe {

/// Thrown where a thread waits when it is asked to stop. Not an error: do not catch it.
struct Interrupted {};

/// Asks one thread to stop, and wakes it if it waits.
class Interruption {
 public:
  void Request();
  bool requested() const { return requested_; }
  void Reset() { requested_ = false; }

  /// The calling thread's request; null if the thread does not belong to an InternalThread.
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
  /// While this object exists, Request() knows what the thread waits for. Construct and destroy it
  /// with that mutex unlocked, because Request() locks the two in the opposite order.
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

/// A thread that belongs to an object. A class whose members the thread uses must call
/// StopInternalThread() in its destructor. In a forked child the thread does not exist.
class InternalThread {
 public:
  InternalThread() = default;
  virtual ~InternalThread();

  /// Starts InternalThreadEntry with the calling thread's mode, GPU and rank, and with random
  /// numbers that depend on that thread's seed.
  void StartInternalThread();
  /// Asks the thread to stop and waits until it has: at once if it waits for a queue, otherwise
  /// when it next calls must_stop().
  void StopInternalThread();
  bool is_started() const { return thread_ && thread_.is_ours(); }

 protected:
  virtual void InternalThreadEntry() {}
  /// Whether the thread has been asked to stop; any thread may call this.
  bool must_stop() { return interruption_.requested(); }

 private:
  struct Settings;
  void entry(const Settings& settings);

  Interruption interruption_;
  maap::OfProcess<std::thread> thread_;

  DISABLE_COPY_AND_ASSIGN(InternalThread);
};

}  // namespace caffe

#endif  // CAFFE_INTERNAL_THREAD_HPP_
