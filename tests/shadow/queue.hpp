#ifndef TESTS_SHADOW_QUEUE_HPP_
#define TESTS_SHADOW_QUEUE_HPP_

// Streams, events and the order of operations. An operation runs only when the host waits for it or
// for a later one, on the thread that waits, one at a time. Which of the operations that may run
// comes first is random: what events and streams do not order happens in any order.
//
// An operation may wait for one that no stream has yet, because another thread is still to add it
// (NCCL's calls, which all ranks make). A thread that needs it waits until it is there.

#include <cuda_runtime.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/shadow/random.hpp"

namespace shadow {

struct Operation {
  std::string name;  // "kernel caffe::(anonymous namespace)::ReluForward<float>"
  int device = 0;
  int device_of_memory = 0;  // or kAnyDevice
  uint64_t seed = 0;
  std::vector<uintptr_t> pointers;  // into device memory, as far as known before it runs
  std::vector<std::pair<uintptr_t, size_t>> pinned;  // memory of the host that a copy needs
  std::function<void(const Operation&)> run;
  bool computes = false;                               // false: bookkeeping, which always runs
  std::function<void(const Operation&)> without_work;  // what set_computes(false) leaves of it
  bool is_host_function = false;

  // The queue's own.
  CUstream_st* stream = nullptr;
  std::vector<std::shared_ptr<Operation>> after;  // in other streams
  bool done = false;
  double finished_at = 0;  // seconds
};
typedef std::shared_ptr<Operation> OperationPtr;

/// The operation that the calling thread runs now, or null.
const Operation* running_operation();

/// What a call of the runtime returns at once: an operation may make none.
cudaError_t ready();
/// A stream of the current device in *stream, or why there is none.
cudaError_t find_stream(cudaStream_t* stream);

class Queue {
 public:
  static Queue& get();

  /// The stream behind a handle: null and cudaStreamLegacy are the device's legacy default stream.
  /// Null if it is not a stream of this device.
  CUstream_st* stream_of(cudaStream_t handle, int device);
  CUstream_st* create(int device, bool blocking);
  /// False if there is no such stream.
  bool destroy(CUstream_st* stream);

  /// Appends an operation to a stream of its device, or to what is captured of it.
  OperationPtr add(OperationPtr operation, CUstream_st* stream);
  /// Appends copies of operations that were captured; they run after `before` (or null). Returns
  /// the last one, or `before`.
  OperationPtr add_copies(const std::vector<OperationPtr>& captured, CUstream_st* stream,
                          const OperationPtr& before);
  /// Later operations of the stream run after this one, which may not be in a stream yet.
  void wait_in_stream(CUstream_st* stream, const OperationPtr& operation);
  /// The operation waits for nothing in other streams any more.
  void wait_no_more(const OperationPtr& operation);
  /// The stream's newest operation; null if it never had one. If the stream waits for others since
  /// then, that wait is one.
  OperationPtr last(CUstream_st* stream);

  /// Runs operations until this one is done.
  void finish(const OperationPtr& operation);
  /// Runs operations until a device has none left.
  void finish_device(int device);
  /// Runs a random number of operations, at least now and then one; for the queries.
  void make_progress(int device);
  bool is_done(const OperationPtr& operation);
  int64_t waiting();

 private:
  typedef std::unique_lock<std::mutex> Lock;
  Queue() = default;
  CUstream_st* legacy(int device);
  void append(const OperationPtr& operation, CUstream_st* stream);
  std::vector<CUstream_st*> ready(int device) const;
  CUstream_st* needed_for(const Operation& target, Random* random) const;
  void wait_for_others(Lock* lock);
  void run_next(CUstream_st* stream, Lock* lock);
  void run_one(const OperationPtr& operation);
  template <typename Choose>
  void run_while(Lock* lock, const Choose& choose);
  void forget_destroyed();

  std::mutex mutex_;
  std::condition_variable idle_;
  bool is_running_ = false;
  std::vector<std::unique_ptr<CUstream_st>> streams_;
};

}  // namespace shadow

struct CUstream_st {
  int device;
  bool is_legacy, is_blocking;
  bool is_destroyed = false;
  std::deque<shadow::OperationPtr> waiting;
  shadow::OperationPtr last;
  std::vector<shadow::OperationPtr> waits;  // of the next operation
};

struct CUevent_st {
  int device;
  bool has_time;
  shadow::OperationPtr recorded;
};

#endif  // TESTS_SHADOW_QUEUE_HPP_
