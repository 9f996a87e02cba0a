#ifndef CAFFE_SYNCEDMEM_HPP_
#define CAFFE_SYNCEDMEM_HPP_

// Memory that is wanted now on the CPU, now on the GPU.
//
// A block has up to two copies and a head that says which of them is up to date:
//
//                  cpu_data        mutable_cpu_data   gpu_data        mutable_gpu_data
//   UNINITIALIZED  zeros, AT_CPU   zeros, AT_CPU      zeros, AT_GPU   zeros, AT_GPU
//   HEAD_AT_CPU    -               -                  copy, SYNCED    copy, AT_GPU
//   HEAD_AT_GPU    copy, SYNCED    copy, AT_CPU       -               -
//   SYNCED         -               AT_CPU             -               AT_GPU
//
// "-" costs nothing, "copy" one transfer over the bus. So a layer asks for mutable_* only for what
// it writes: a mutable_cpu_data() on data that is merely read makes the next gpu_data() copy it all
// again. A mutable_* call copies as well, since the caller may write only a part.
//
// Nothing is allocated before the first access: a net's diffs cost no memory while it only runs
// forward, and no GPU copy exists in CPU mode. Whoever reads first sees zeros. CPU memory starts at
// a multiple of 64 bytes: the width of a cache line and of the widest vector registers. While a GPU
// is in use it is pinned, which transfers at twice the speed.
//
// A pointer stays valid until the block is destroyed or set_*_data() replaces it, but it says
// nothing about who is up to date: keep blocks, not pointers, across calls that may compute.
//
// What both copies hold is plain row-major data. A library's own layout (oneDNN's blocked one) is
// to become one more head, converted in to_cpu() and to_gpu() when somebody asks for plain data;
// callers will not notice. Rejected: unified memory (page faults in the middle of kernels cost more
// than one planned copy, and not every GPU has it), and letting the blob count versions (two
// counters for what one state says).
//
// A block is not locked: one thread at a time, as with everything that a net owns.

#include <cstddef>

#include "caffe/common.hpp"

namespace caffe {

class SyncedMemory {
 public:
  enum SyncedHead { UNINITIALIZED, HEAD_AT_CPU, HEAD_AT_GPU, SYNCED };
  static constexpr size_t kAlignment = 64;

  SyncedMemory() : SyncedMemory(0) {}
  explicit SyncedMemory(size_t size) : size_(size) {}
  ~SyncedMemory();

  const void* cpu_data();
  const void* gpu_data();
  void* mutable_cpu_data();
  void* mutable_gpu_data();
  /// Uses the caller's `size()` bytes from here on, and takes what they hold as up to date. They
  /// must outlive the block, which never frees them.
  void set_cpu_data(void* data);
  void set_gpu_data(void* data);

  SyncedHead head() const { return head_; }
  /// Bytes.
  size_t size() const { return size_; }

 private:
  enum class Owner { kNobody, kHeap, kPinned, kGpu };
  struct Copy {
    void* memory = nullptr;
    Owner owner = Owner::kNobody;
  };

  void to_cpu();
  void to_gpu();
  void allocate_cpu();
  void allocate_gpu();
  static void release(Copy* copy);

  Copy cpu_;
  Copy gpu_;
  size_t size_;
  SyncedHead head_ = UNINITIALIZED;

  DISABLE_COPY_AND_ASSIGN(SyncedMemory);
};

}  // namespace caffe

#endif  // CAFFE_SYNCEDMEM_HPP_
