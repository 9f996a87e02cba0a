#ifndef CAFFE_UTIL_BUFFER_CACHE_HPP_
#define CAFFE_UTIL_BUFFER_CACHE_HPP_

// Memory on the CPU that is used again instead of going back to the operating system, which would
// clear every page of it anew: of nets that give back a blob's values after their last reader
// (caffe/net_liveness.hpp).

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// Idle buffers by size. All nets of the process that called KeepOnly share one cache, so that a
/// test net uses the memory that the training net has given back. May be used from any thread.
class BufferCache : public std::enable_shared_from_this<BufferCache> {
 public:
  /// The one that all share; it exists as long as somebody holds it.
  static std::shared_ptr<BufferCache> common();

  ~BufferCache();
  /// At least `bytes` bytes at a multiple of 64. They go back to the cache when the last holder
  /// lets go, or are freed if the cache no longer exists.
  std::shared_ptr<void> take(size_t bytes);
  /// A net has run: frees what no pass has used for a while.
  void end_pass();
  /// Frees all idle buffers.
  void clear();
  /// Bytes of the idle buffers.
  size_t idle() const;
  /// For tests: fills buffers that come back with NaN.
  static void poison(bool value);

  /// While it exists, host_buffer() of this thread takes from the cache. null: no change.
  class Scope {
   public:
    explicit Scope(BufferCache* cache);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    BufferCache* before_;
  };

 private:
  struct Idle {
    void* memory;
    uint64_t pass;  // in which it came back
  };
  void give_back(void* memory, size_t room);
  void make_room(size_t room);
  void free_before(uint64_t pass);

  mutable std::mutex mutex_;
  std::map<size_t, std::vector<Idle>> idle_;  // by size; the last that came back is taken first
  uint64_t pass_ = 0;
  size_t idle_bytes_ = 0, used_bytes_ = 0, most_used_ = 0;
};

/// At least `bytes` bytes at a multiple of 64, from the cache of the current scope if there is one.
std::shared_ptr<void> host_buffer(size_t bytes);

/// The same, never from a cache: for memory that is used again and again, and grows.
std::shared_ptr<void> own_buffer(size_t bytes);

}  // namespace caffe

#endif  // CAFFE_UTIL_BUFFER_CACHE_HPP_
