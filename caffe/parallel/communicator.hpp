#ifndef CAFFE_PARALLEL_COMMUNICATOR_HPP_
#define CAFFE_PARALLEL_COMMUNICATOR_HPP_

// Ranks that compute together: threads of a process (local_group.hpp) or processes that MPI started
// (mpi.hpp). A rank is a thread or a process with a solver of its own; they are numbered from 0.
//
// All ranks must make the same calls in the same order, with the same sizes; a call may wait for
// the others. A rank that fails says so with abort(), and the others' calls then throw an Error
// that names it, within seconds and not at some timeout of the network's.

#include <cstddef>
#include <string>
#include <vector>

namespace caffe {

/// Everything here is in the host's memory. Used by one thread at a time.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// This rank's number among those of this machine, which share its GPUs and cores, and how many
  /// these are.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;

  /// data [bytes] of rank `root` to all.
  virtual void broadcast(int root, size_t bytes, void* data) = 0;
  /// What every rank gives, by rank. The sizes may differ.
  virtual std::vector<std::string> gather(const std::string& mine) = 0;
  virtual void barrier() = 0;

  /// Begins to add up values [n] over all ranks, in place; every rank gets the same bits. Nobody
  /// may read or write them until wait(). Sums are computed while the calling thread does something
  /// else.
  virtual void start_sum(size_t n, float* values) = 0;
  virtual void start_sum(size_t n, double* values) = 0;
  /// Waits for all sums that were started.
  virtual void wait() = 0;
  template <typename Dtype>
  void sum(size_t n, Dtype* values) {
    start_sum(n, values);
    wait();
  }

  /// Why the group has ended, as far as this rank has heard; "" if it has not. Waits for nothing,
  /// and any thread may ask: for waits that are not a Communicator's calls.
  virtual std::string failure() { return ""; }
  /// Ends the group: every call of another rank throws, now and from now on, with this text.
  virtual void abort(const std::string& why) = 0;
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_COMMUNICATOR_HPP_
