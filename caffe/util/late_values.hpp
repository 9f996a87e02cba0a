#ifndef CAFFE_UTIL_LATE_VALUES_HPP_
#define CAFFE_UTIL_LATE_VALUES_HPP_

// What a GPU computes and the host reads later: losses, counts, signs that something is wrong.
//
// A host that reads a value waits until the GPU has finished all work queued before it, and
// meanwhile queues nothing. So a training iteration reads all its values at its end: kernels write
// them to places in one small buffer on the GPU, finish() copies the buffer once, waits once, and
// then calls the functions given with the places, in the order of the calls. What a function does,
// writing a line to the log or throwing an Error, therefore happens late but in the same order as
// without a GPU.
//
// An error that is found late must still prevent the update of the weights. Kernels that find one
// set *stop() to 1, and the kernels of the update change nothing if it is not 0.
//
//   with_late_values([&](LateValues& late) {
//     int* const wrong = late.place<int>(1, [](const int* value) { CAFFE_CHECK(*value == 0, ...);
//     }); parallel_for(n, Find{..., wrong, late.stop()});
//   });
//
// In a solver's iteration (LateValues::Scope) this waits for nothing; elsewhere it waits at the end
// of with_late_values. GPU mode only: in CPU mode values are where they are needed.

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// Used by one thread at a time.
class LateValues {
 public:
  LateValues() = default;

  /// Those of the calling thread's scope; null outside of one.
  static LateValues* current();
  /// An object for uses that end in the function that begins them.
  static LateValues* of_thread();

  /// Makes `values` the calling thread's while it exists.
  class Scope {
   public:
    explicit Scope(LateValues* values);
    ~Scope();

   private:
    LateValues* const before_;
    DISABLE_COPY_AND_ASSIGN(Scope);
  };

  /// Forgets all places and functions; *stop() becomes 0.
  void begin();
  /// Room for n values on the GPU, until the next begin(). Kernels queued before finish() must
  /// write all of them; `then` gets their values on the host.
  template <typename T>
  T* place(size_t n, std::function<void(const T*)> then) {
    return static_cast<T*>(place_bytes(sizeof(T) * n, [then = std::move(then)](const void* values) {
      then(static_cast<const T*>(values));
    }));
  }
  /// Calls `then` in finish(), after the functions given before.
  void then(std::function<void()> then);
  /// On the GPU: not 0 if the weights must stay as they are.
  int* stop();
  /// Waits for the values, if there are any, and calls the functions. If one throws, those behind
  /// it are not called. More places may be taken afterwards.
  void finish();

  /// The places and functions so far, of this object. Throws NotRecorded if they do not fit in one
  /// piece of memory, which they do from the next begin() on.
  struct Mark;
  Mark mark() const;
  /// Whether as many places and functions have been given.
  bool is_at(const Mark& mark) const;
  /// As it was then. False, with nothing changed, if the places are elsewhere by now.
  bool go_to(const Mark& mark);

 private:
  struct Chunk {  // a part of the buffer; more than one until the next begin()
    std::shared_ptr<void> gpu, host;
    size_t size, used;
  };
  struct Entry {
    int chunk;  // -1: no values
    size_t begin;
    std::function<void(const void*)> then;
  };

  void* place_bytes(size_t bytes, std::function<void(const void*)> then);
  void add_chunk(size_t size);

  std::vector<Chunk> chunks_;
  std::vector<Entry> entries_;
  size_t placed_ = 0;     // values whose functions were not called yet
  int gpu_ = -1;          // where the chunks are
  bool cleared_ = false;  // whether *stop() was set to 0 since begin()
  DISABLE_COPY_AND_ASSIGN(LateValues);
};

struct LateValues::Mark {
  std::vector<Entry> entries;
  const void* memory;  // on the GPU
  size_t used, placed;
  bool cleared;
};

/// Calls use(LateValues&) with the current values or, where there are none, with values that are
/// complete when it returns.
template <typename Use>
void with_late_values(const Use& use) {
  if (LateValues::current() != nullptr) return use(*LateValues::current());
  LateValues& own = *LateValues::of_thread();
  own.begin();
  use(own);
  own.finish();
}

/// Calls what() now or, where values are late, after them.
void after_late_values(const std::function<void()>& what);

}  // namespace caffe

#endif  // CAFFE_UTIL_LATE_VALUES_HPP_
