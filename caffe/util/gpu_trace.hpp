#ifndef CAFFE_UTIL_GPU_TRACE_HPP_
#define CAFFE_UTIL_GPU_TRACE_HPP_

// What a stretch of code asks of a GPU and of the host, so that its work on the GPU can be recorded
// once and replayed without the code (caffe/solver_graph.hpp).
//
// A replay repeats kernels with the arguments, and at the addresses, of the recording. So it is
// right only if nothing else of what the code does matters. A trace that is the calling thread's
// (Scope) hears of
//
//   blocks     each SyncedMemory that the code uses: its state before and after. The replay demands
//              the one and makes the other
//   values     launch arguments that change (a learning rate, a seed): value() gives them a place
//   in
//              GPU memory, which is filled anew before each replay
//   the host   waits, copies from or to the host, memory that is allocated or given back, random
//              numbers drawn on the host: what a replay cannot do
//
// kWatch notes why the code cannot be recorded; kRecord throws NotRecorded at the first such
// reason. Without a trace all this costs a look at a thread's pointer.

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "caffe/syncedmem.hpp"

namespace caffe {

/// Launch arguments that change, in GPU memory.
class LaunchValues {
 public:
  /// Of at most kBytes each.
  static constexpr size_t kBytes = 16;

  explicit LaunchValues(size_t most);
  ~LaunchValues();

  /// The place of the next value, on the GPU. `next` writes the value of the next replay.
  const void* add(const void* now, size_t bytes, std::function<void(void*)> next);
  /// Asks for the next values, in the order in which they were added.
  void refresh();
  /// Queues the copy to the GPU of all of them, or of those behind the first ones.
  void send(size_t first = 0);
  size_t size() const { return next_.size(); }
  bool is_full() const { return size() == most_; }
  const std::shared_ptr<void>& memory() const { return gpu_; }

 private:
  const size_t most_;
  std::shared_ptr<void> host_, gpu_;
  std::vector<std::function<void(void*)>> next_;
  device::Event sent_;  // the host's memory may change again

  DISABLE_COPY_AND_ASSIGN(LaunchValues);
};

/// Thrown by a trace of the kind kRecord; not an Error, so that nobody adds to its text.
class NotRecorded : public std::exception {
 public:
  explicit NotRecorded(std::string why) : why_(std::move(why)) {}
  const char* what() const noexcept override { return why_.c_str(); }

 private:
  std::string why_;
};

/// Used by one thread.
class GpuTrace {
 public:
  enum Kind { kWatch, kRecord };
  struct Touch {
    SyncedMemory* block;  // null: it is gone
    SyncedMemory::State before;
    bool is_written, is_read_on_host;
  };

  /// `values`: has room for the values. In kWatch they are sent one by one, so that the same
  /// kernels run as in a replay; more values than there is room for are counted.
  GpuTrace(Kind kind, LaunchValues* values) : kind_(kind), values_(values) {}

  /// The calling thread's; null outside of a Scope.
  static GpuTrace* current();
  class Scope {
   public:
    explicit Scope(GpuTrace* trace);
    ~Scope();

   private:
    DISABLE_COPY_AND_ASSIGN(Scope);
  };

  /// This block has new values before each replay, which the host cannot know then.
  void changes_between(const SyncedMemory* block) { changing_.insert(block); }

  // What the engine tells it.
  void in_layer(const std::string& name) { layer_ = name; }
  void uses(SyncedMemory* block, bool writes);
  void reads_on_host(SyncedMemory* block);
  /// A block goes away, which is a reason if it was used.
  void forget(const SyncedMemory* block) noexcept;
  void needs_host(const char* what);
  /// Of memory that is given back: a reason, too. kRecord keeps it until release_kept(), because
  /// the recording would give it back in every replay.
  bool keeps(void* memory) noexcept;
  /// A place on the GPU for an argument that changes, or null: then the argument itself is to be
  /// used. `next` gives its value in the next replay.
  template <typename T>
  const T* value(const T& now, const std::function<T()>& next) {
    static_assert(sizeof(T) <= LaunchValues::kBytes, "the value is too large");
    return static_cast<const T*>(
        place(&now, sizeof now, [next](void* to) { *static_cast<T*>(to) = next(); }));
  }

  // What it has heard.
  const std::vector<Touch>& touches() const { return touches_; }
  size_t values() const { return count_; }
  std::shared_ptr<void> value_memory() const;
  /// "layer 'x' waits for the GPU"; "" if nothing is in the way.
  const std::string& why_not() const { return why_not_; }
  /// Outside of the Scope, when nothing is recorded any more.
  void release_kept();

 private:
  void note(const char* what);
  Touch& touch(SyncedMemory* block);
  const void* place(const void* now, size_t bytes, std::function<void(void*)> next);

  const Kind kind_;
  LaunchValues* const values_;
  std::vector<Touch> touches_;
  std::unordered_map<const SyncedMemory*, size_t> index_;
  std::set<const SyncedMemory*> changing_;
  size_t count_ = 0;  // of values
  std::string layer_, why_not_;
  std::vector<void*> kept_;

  DISABLE_COPY_AND_ASSIGN(GpuTrace);
};

/// Tells the thread's trace, if there is one.
void note_host_work(const char* what);

/// A random seed for a kernel: `value`, or what is at `at` on the GPU, if that is not null.
struct GpuSeed {
  uint32_t value = 0;
  std::shared_ptr<const uint32_t> at;
};

/// Draws from the calling thread's generator. A replay sets seed->value, too, so *seed must exist
/// as long as the layer.
void draw_gpu_seed(GpuSeed* seed);

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_TRACE_HPP_
