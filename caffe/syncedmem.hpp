#ifndef CAFFE_SYNCEDMEM_HPP_
#define CAFFE_SYNCEDMEM_HPP_

// Memory that may be used on the CPU, on the GPU, and in a library's own layout.
//
// A block has up to three copies: plain row-major data on the CPU and on the GPU, and a foreign
// copy, the same values in another layout: on the CPU in oneDNN's blocked layout
// (caffe/layers/onednn), or on the GPU with the channels last (caffe/util/value_order.hpp). The
// head says which copies are up to date:
//
//                    cpu_data        mutable_cpu_data   gpu_data        mutable_gpu_data
//   UNINITIALIZED    zeros, AT_CPU   zeros, AT_CPU      zeros, AT_GPU   zeros, AT_GPU
//   HEAD_AT_CPU      -               -                  copy, SYNCED    copy, AT_GPU
//   HEAD_AT_GPU      copy, SYNCED    copy, AT_CPU       -               -
//   SYNCED           -               AT_CPU             -               AT_GPU
//   HEAD_AT_FOREIGN, and that copy is
//     on the CPU     convert, AT_CPU convert, AT_CPU    both, SYNCED    both, AT_GPU
//     on the GPU     both, AT_CPU *  both, AT_CPU       convert, AT_GPU convert, AT_GPU
//
// "-" costs nothing, "copy" one transfer over the bus, "convert" one pass over memory on the device
// that has the foreign copy, "both" one of each. * SYNCED if the block has plain memory on the GPU;
// else the values pass through memory that is released at once. While a foreign copy on the GPU is
// current, HEAD_AT_CPU, too, becomes SYNCED by a conversion, not by a transfer. So a layer asks for
// mutable_* only for what it writes: calling mutable_cpu_data() for data that is only read makes
// the next gpu_data() copy everything again. A mutable_* call copies as well, since the caller may
// write only a part.
//
// Nothing is allocated before the first access: a net's diffs cost no memory while it only runs
// forward, no GPU copy exists in CPU mode, and no plain copy exists of data that only one library's
// layers use. A first read sees zeros. CPU memory starts at a multiple of 64 bytes: the width of a
// cache line and of the widest vector registers.
//
// The GPU. Kernels and copies are queued, in order, on the calling thread's stream
// (caffe/util/gpu_context.hpp), and a call returns before they are done; only a copy to the CPU
// waits, and one from memory that somebody else has as well. If another thread used the GPU copy
// before, this thread's stream waits for that one's (caffe/util/gpu_usage.hpp). On another GPU than
// the copy is on, the copy moves there. CPU memory is ordinary memory at first: what is a mere copy
// of results needs nothing better. A block whose values go to the GPU again and again (a batch), or
// come from it, gets pinned at its address, which the GPU reads at twice the speed and while the
// program goes on; mutable_cpu_data() then waits until an upload is done.
//
// A pointer stays valid until the block is destroyed or set_*_data() replaces it (a pointer to the
// GPU's memory of a parameter also only until its solver's first step: move_on_gpu), but it does
// not tell which copy is up to date: keep blocks, not pointers, across calls that may compute. An
// object that must outlive the block, such as a NumPy array in Python, holds the result of
// share_cpu_data().
//
// The foreign copy. Code that computes in its own layout fills a ForeignCopy, either the block's
// existing one or a new one, and passes it to foreign_written(): HEAD_AT_FOREIGN. The first request
// for plain data converts it once. Both copies are then current, until a mutable_* or set_*_data()
// call makes the foreign one stale or foreign_written() makes the plain one stale. Code that fills
// a ForeignCopy from the block's plain values calls foreign_filled(): both are current then as
// well.
//
// A stale copy stays allocated: the foreign one so that the next iteration allocates nothing, the
// plain one because a caller may have kept a pointer to it. A block has both copies only after both
// have been requested.
//
// While the CPU copy has another holder (share_cpu_data), such as an array in Python, it may be
// read and written at any time without a call to the block. During that time every
// foreign_written() also updates the CPU copy, at the cost of a conversion, and no foreign copy
// counts as current. This does not apply to a copy on the GPU, plain or foreign, and never did in
// Caffe: request the data again.
//
// Rejected: unified memory (page faults in the middle of kernels cost more than one planned copy,
// and not every GPU has it), version counters in the blob (two counters for what one state says),
// and freeing the stale plain copy (see above).
//
// A block has no lock: use it from one thread at a time, like everything that a net owns.

#include <cstddef>
#include <memory>
#include <utility>

#include "caffe/common.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

/// The values of a block in another layout.
class ForeignCopy {
 public:
  virtual ~ForeignCopy() = default;
  /// Whether the values, and the memory that copy_to() writes, are on the GPU.
  virtual bool on_gpu() const { return false; }
  /// Writes the values row by row. `plain` has room for the block's size() bytes; bytes after the
  /// copy's own values are not changed.
  virtual void copy_to(void* plain) const = 0;
  /// Where the values are on the GPU; null for a copy on the CPU.
  virtual const void* address() const { return nullptr; }
};

class SyncedMemory {
 public:
  enum SyncedHead { UNINITIALIZED, HEAD_AT_CPU, HEAD_AT_GPU, SYNCED, HEAD_AT_FOREIGN };
  static constexpr size_t kAlignment = 64;

  SyncedMemory() : SyncedMemory(0) {}
  explicit SyncedMemory(size_t size) : size_(size) {}
  ~SyncedMemory();

  const void* cpu_data();
  const void* gpu_data();
  void* mutable_cpu_data();
  void* mutable_gpu_data();
  /// Like mutable_cpu_data(), for whoever writes all of it: values elsewhere are given up instead
  /// of being copied or converted.
  void* overwrite_cpu_data();
  /// Uses the caller's `size()` bytes from now on and treats their values as up to date. They must
  /// outlive the block, which never frees them.
  void set_cpu_data(void* data);
  void set_gpu_data(void* data);
  /// Uses this GPU memory, which has the values of the CPU's, or will have them when work that is
  /// queued now gets there: SYNCED. The values must be on the CPU.
  void set_gpu_copy(const std::shared_ptr<void>& data);
  /// Copies to the GPU, on a stream of the current GPU, what it does not have yet. The program goes
  /// on meanwhile; who asks for the values next waits for the copy.
  void async_gpu_push(CUstream_st* const& stream);
  /// set_cpu_data for memory whose ownership the block shares from now on.
  void set_cpu_data(const std::shared_ptr<void>& data);
  void set_gpu_data(const std::shared_ptr<void>& data);
  /// Like mutable_cpu_data(); the memory exists at least as long as the result. (The caller must
  /// keep memory given to set_cpu_data(void*) alive.)
  const std::shared_ptr<void>& share_cpu_data();
  /// Like gpu_data(), in the same way.
  const std::shared_ptr<void>& share_gpu_data();

  /// Copies to the CPU what these blocks have on the GPU alone, and waits once for all of them.
  static void fetch(const std::vector<SyncedMemory*>& blocks);

  /// Moves the GPU's copy, if there is one, to the caller's `size()` bytes on the GPU, which are
  /// its memory from now on. False, with nothing changed, if the GPU's memory came from the caller
  /// of another function, or someone else holds it.
  bool move_on_gpu(const std::shared_ptr<void>& memory);
  /// The GPU's memory; null if there is none. Says nothing about its values.
  const void* gpu_memory() const { return gpu_.get(); }
  /// The caller has copied the GPU's values to `values`: cpu_data() need not do it again.
  void cpu_copy_is(const void* values);

  /// The foreign copy, which may be stale; null if there is none.
  const std::shared_ptr<ForeignCopy>& foreign() const {
    note_use(false);
    return foreign_;
  }
  bool foreign_is_current() const {
    note_use(false);
    return foreign_is_current_;
  }
  /// `copy` holds new values: it alone is current. The previous foreign copy is released.
  void foreign_written(std::shared_ptr<ForeignCopy> copy);
  /// `copy` was filled from the block's plain values, which stay current beside it.
  void foreign_filled(std::shared_ptr<ForeignCopy> copy);

  /// Another block that has the same values, as long as neither is written; null if none is known.
  /// A layer that works in place and keeps a copy of its result for its gradient says so here: the
  /// next layer in place then shares that copy instead of making the same one. The other block's
  /// owner must not write it before that layer's gradient is computed.
  const std::shared_ptr<SyncedMemory>& twin() const { return twin_; }
  void set_twin(std::shared_ptr<SyncedMemory> other) { twin_ = std::move(other); }

  /// Gives up the values, with all memory: nobody will read them any more, such as a gradient after
  /// its last use (caffe/net_liveness.hpp). To read them is an error then, until they are written
  /// again; whoever writes gets memory that is not cleared. Does nothing if there is no memory, if
  /// it was given to the block (set_cpu_data ...), or if someone else holds it.
  void give_up();
  /// Whether there are no values to read because they were given up. The head is HEAD_AT_FOREIGN
  /// then, with a copy that cannot be converted.
  bool is_given_up() const;

  /// Which copies are up to date, and where they are on the GPU.
  struct State {
    SyncedHead head;
    const void* gpu;
    const ForeignCopy* foreign;
    const void* foreign_memory;
    bool foreign_is_current;
    std::weak_ptr<SyncedMemory> twin;
  };
  State state() const;
  /// For work that was recorded (caffe/solver_graph.hpp): whether the block is as it was before
  /// that work. Brings values to the GPU that are newer on the CPU, and lets the thread's stream
  /// wait for other users of the block.
  bool make_ready(const State& before);
  void wait_for_others();
  /// What that work has made of a block that was ready; `written`: it wrote the values.
  void has_become(const State& before, const State& after, bool written);
  /// Takes back what the work's code has done to the block, before the GPU did anything.
  void undo_to(const State& before);
  /// *alive becomes false when this block goes away, or is given another one.
  void watch_life(const std::shared_ptr<bool>& alive);
  /// Moves values that are in GPU memory of somebody else's to *room, allocated at the first call,
  /// so that they are always at the same address.
  void land_on_gpu(std::shared_ptr<void>* room);

  SyncedHead head() const { return head_; }
  /// Whether the plain copy there is up to date.
  bool is_on_cpu() const { return head_ == HEAD_AT_CPU || head_ == SYNCED; }
  bool is_on_gpu() const { return is_on_gpu(head_); }
  /// Bytes.
  size_t size() const { return size_; }

 private:
  static bool is_on_gpu(SyncedHead head) { return head == HEAD_AT_GPU || head == SYNCED; }
  bool is_held() const { return cpu_.use_count() > 1; }
  /// For the thread's GpuTrace.
  void note_use(bool writes) const;
  void note_host_read() const;
  void note_host_write() const;
  void to_cpu();
  void to_gpu();
  bool is_foreign(bool on_gpu) const;
  void convert_on_cpu();
  void convert_on_gpu();
  void convert_through_gpu();
  void upload();
  void allocate_cpu();
  void prepare_gpu();
  bool is_pinned() const;
  void pin_if_ours();
  void finish_upload();
  void has_changed(SyncedHead head);

  std::shared_ptr<void> cpu_;
  std::shared_ptr<void> gpu_;
  std::shared_ptr<GpuUsage> usage_;  // of gpu_
  device::Event upload_;             // from cpu_, which must not change before; or null
  size_t size_;
  SyncedHead head_ = UNINITIALIZED;
  unsigned char uploads_ = 0, read_backs_ = 0;  // until the memory is pinned
  bool foreign_is_current_ = false;
  std::shared_ptr<ForeignCopy> foreign_;
  std::shared_ptr<SyncedMemory> twin_;
  std::shared_ptr<bool> alive_;  // of a recording that uses the block
  bool gpu_is_given_ = false;    // whether gpu_ is the caller's memory

  DISABLE_COPY_AND_ASSIGN(SyncedMemory);
};

/// Memory on the CPU, pinned (then *use_cuda is true) in a thread whose mode is GPU. CaffeFreeHost
/// takes what *use_cuda was.
void CaffeMallocHost(void** ptr, size_t size, bool* use_cuda);
void CaffeFreeHost(void* ptr, bool use_cuda);

}  // namespace caffe

#endif  // CAFFE_SYNCEDMEM_HPP_
