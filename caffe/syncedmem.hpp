#ifndef CAFFE_SYNCEDMEM_HPP_
#define CAFFE_SYNCEDMEM_HPP_

// Memory that is wanted now on the CPU, now on the GPU, now in a library's own layout.
//
// A block has up to three copies: plain row-major data on the CPU and on the GPU, and a foreign
// copy, the same values as a library likes them (oneDNN's blocked layout: caffe/layers/onednn). A
// head says which are up to date:
//
//                    cpu_data        mutable_cpu_data   gpu_data        mutable_gpu_data
//   UNINITIALIZED    zeros, AT_CPU   zeros, AT_CPU      zeros, AT_GPU   zeros, AT_GPU
//   HEAD_AT_CPU      -               -                  copy, SYNCED    copy, AT_GPU
//   HEAD_AT_GPU      copy, SYNCED    copy, AT_CPU       -               -
//   SYNCED           -               AT_CPU             -               AT_GPU
//   HEAD_AT_FOREIGN  convert, AT_CPU convert, AT_CPU    both, SYNCED    both, AT_GPU
//
// "-" costs nothing, "copy" one transfer over the bus, "convert" one pass over memory, "both" one
// of each. So a layer asks for mutable_* only for what it writes: a mutable_cpu_data() on data that
// is merely read makes the next gpu_data() copy it all again. A mutable_* call copies as well,
// since the caller may write only a part.
//
// Nothing is allocated before the first access: a net's diffs cost no memory while it only runs
// forward, no GPU copy exists in CPU mode, and no plain copy of what only one library's layers
// touch. Whoever reads first sees zeros. CPU memory starts at a multiple of 64 bytes: the width of
// a cache line and of the widest vector registers. While a GPU is in use it is pinned, which
// transfers at twice the speed.
//
// A pointer stays valid until the block is destroyed or set_*_data() replaces it, but it says
// nothing about who is up to date: keep blocks, not pointers, across calls that may compute. Who
// must outlive the block, such as a NumPy array in Python, holds what share_cpu_data() gives.
//
// The foreign copy. Who computes in a layout of its own fills a ForeignCopy, the block's former one
// or a new one, and hands it over with foreign_written(): HEAD_AT_FOREIGN. Asked for, plain data is
// made from it once; both are current then, until a mutable_* or set_*_data() call makes the
// foreign one stale, or foreign_written() the plain one.
//
// A stale copy stays allocated. The foreign one, so that the next iteration allocates nothing; the
// plain one, because a pointer to it may be kept. So a block has both copies only once both were
// asked for.
//
// While somebody holds the CPU copy (share_cpu_data), it is read and written at any time, without a
// word to the block: arrays in Python are. Then the CPU copy is current after every foreign_written
// too, and no foreign copy counts as current; it costs a conversion each time. A copy on the GPU
// does not get this care, as it never has in Caffe: ask for the data again.
//
// Rejected: unified memory (page faults in the middle of kernels cost more than one planned copy,
// and not every GPU has it), letting the blob count versions (two counters for what one state
// says), and freeing the stale plain copy (see above).
//
// A block is not locked: one thread at a time, as with everything that a net owns.

#include <cstddef>
#include <memory>

#include "caffe/common.hpp"

namespace caffe {

/// The values of a block in a library's own layout.
class ForeignCopy {
 public:
  virtual ~ForeignCopy() = default;
  /// Writes the values row by row. `plain` has room for the block's size() bytes; what lies behind
  /// the copy's own values is left alone.
  virtual void copy_to(void* plain) const = 0;
};

class SyncedMemory {
 public:
  enum SyncedHead { UNINITIALIZED, HEAD_AT_CPU, HEAD_AT_GPU, SYNCED, HEAD_AT_FOREIGN };
  static constexpr size_t kAlignment = 64;

  SyncedMemory() : SyncedMemory(0) {}
  explicit SyncedMemory(size_t size) : size_(size) {}

  const void* cpu_data();
  const void* gpu_data();
  void* mutable_cpu_data();
  void* mutable_gpu_data();
  /// Uses the caller's `size()` bytes from here on, and takes what they hold as up to date. They
  /// must outlive the block, which never frees them.
  void set_cpu_data(void* data);
  void set_gpu_data(void* data);
  /// The same for memory that the block holds from here on.
  void set_cpu_data(const std::shared_ptr<void>& data);
  /// mutable_cpu_data(), and the memory lives for as long as the result does. (Memory of
  /// set_cpu_data(void*) is the caller's to keep alive.)
  const std::shared_ptr<void>& share_cpu_data();

  /// The foreign copy, perhaps stale; null when there is none.
  const std::shared_ptr<ForeignCopy>& foreign() const { return foreign_; }
  bool foreign_is_current() const { return foreign_is_current_; }
  /// `copy` holds new values: it alone is current. The former foreign copy is let go.
  void foreign_written(std::shared_ptr<ForeignCopy> copy);

  SyncedHead head() const { return head_; }
  /// Bytes.
  size_t size() const { return size_; }

 private:
  bool is_held() const { return cpu_.use_count() > 1; }
  void to_cpu();
  void to_gpu();
  void to_plain();
  void allocate_cpu();
  void allocate_gpu();

  std::shared_ptr<void> cpu_;
  std::shared_ptr<void> gpu_;
  size_t size_;
  SyncedHead head_ = UNINITIALIZED;
  std::shared_ptr<ForeignCopy> foreign_;
  bool foreign_is_current_ = false;

  DISABLE_COPY_AND_ASSIGN(SyncedMemory);
};

}  // namespace caffe

#endif  // CAFFE_SYNCEDMEM_HPP_
