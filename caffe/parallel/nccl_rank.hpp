#ifndef CAFFE_PARALLEL_NCCL_RANK_HPP_
#define CAFFE_PARALLEL_NCCL_RANK_HPP_

// A rank's part of a group of GPUs that NCCL connects. In a build with NCCL only.
//
// Calls are queued on a stream of their own, so that they run beside the computation: behind what
// the compute stream holds when they start, and before what it gets after wait(). The host waits
// for nothing.
//
// A GPU that waits for a rank which never comes waits for ever, and so does the thread that waits
// for the GPU. Therefore each rank has a second thread that watches. When the connection breaks
// (NCCL says so), when a rank of this process fails or leaves, or when the caller says that one of
// another process has failed (MPI's ranks tell each other), it aborts the rank's
// communicator: its stream then goes on, with values that nobody may use, and start(), wait() and
// check() throw an Error that says why. Each thread aborts its own communicator, because NCCL may
// wait there for the others of the machine.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "caffe/common.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/gpu_pinned.hpp"

struct ncclComm;  // what an ncclComm_t points to

namespace caffe {

/// Before a process's first call of NCCL that connects GPUs: sets in the environment what NCCL must
/// know of this engine's memory. Throws an Error if the NCCL that is loaded is too old.
void prepare_nccl();

class NcclRank {
 public:
  /// On the calling thread's GPU; collective, all ranks with the same id (new_nccl_id()). Throws an
  /// Error if a rank of this process fails meanwhile, or two ranks have one GPU. The watching
  /// thread asks `failure`, if one is given, whether another rank has failed: why, or "".
  NcclRank(const string& id, int rank, int size, std::function<string()> failure = {});
  /// After an exception, or before all sums are complete: as abort().
  ~NcclRank();

  /// Values, and how many they are.
  typedef std::pair<size_t, void*> Part;
  /// Adds up each part over the ranks, in place. Parts of one call cost little more than one.
  void sum(const vector<Part>& parts, bool are_doubles) { call(parts, are_doubles, -1); }
  /// Each part of rank `root` to all.
  void broadcast(int root, const vector<Part>& parts, bool are_doubles) {
    call(parts, are_doubles, root);
  }
  /// The compute stream waits for the calls.
  void wait();
  /// Throws if calls were not completed.
  void check();
  /// Ends the calls of all ranks of this process with that id; theirs throw with this text.
  void abort(const string& why) noexcept;

  /// "rank 1 of 2 (GPU 1)"
  const string& name() const { return name_; }

 private:
  class Group;
  friend class Group;

  void connect();
  void close() noexcept;
  void call(const vector<Part>& parts, bool are_doubles, int root);
  int queue(const vector<Part>& parts, bool are_doubles, int root);
  void settle(int status, const char* what);
  void end_with(const string& why);
  [[noreturn]] void fail(int status, const char* what);
  void watch();
  string find_failure();
  void stop_watching();
  void say_goodbye();

  const RankOfProcess counted_;
  const int rank_, size_;
  const int device_;
  const string name_;
  const int exceptions_;  // that were on their way at the beginning
  const string id_;
  const std::function<string()> failure_;
  const shared_ptr<Group> group_;
  device::Stream stream_ = nullptr;
  CUevent_st* ready_ = nullptr;
  CUevent_st* done_ = nullptr;
  bool pending_ = false;  // calls since the last wait()

  std::mutex mutex_;  // guards the following
  std::condition_variable change_;
  ncclComm* comm_ = nullptr;
  bool is_ended_ = false, is_closing_ = false;
  string why_;  // if ended
  std::thread watcher_;
  std::atomic<int64_t> calls_{0};  // so far

  DISABLE_COPY_AND_ASSIGN(NcclRank);
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_NCCL_RANK_HPP_
