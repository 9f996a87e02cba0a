#ifndef CAFFE_LAYERS_ONEDNN_MEMORY_HPP_
#define CAFFE_LAYERS_ONEDNN_MEMORY_HPP_

// Blobs as oneDNN sees them, on the CPU. A layout says in what numbers its values are stored: float
// or, in the math mode BF16, bfloat16 as well (caffe/util/math_mode.hpp). Plain values are float.
//
// A blob's data and its gradient are each stored row by row or in a layout of oneDNN's choice (a
// foreign copy: caffe/syncedmem.hpp). An adapter
//
//   asks     layout_of(blob) for the current layout, and creates its primitives for it, or for one
//            of oneDNN's choice;
//   reads    Input in(blob, layout, slot): the values in that layout, in place if they have it,
//            otherwise converted into scratch memory, which reorder_count() counts;
//   writes   Output out(blob, layout), run(...), out.done(): now the blob has that layout.
//
// So two layers that agree on a layout convert nothing between them. A caller of the blob's
// cpu_data() gets plain values.
//
// Scratch memory belongs to the thread and is shared by all its layers: it is as large as the
// largest need of a layer. Each purpose has a slot, so buffers that one call uses at the same time
// do not overlap. Nothing is kept from one call to the next.

#include <dnnl.hpp>

#include <memory>
#include <unordered_map>
#include <utility>

#include "caffe/blob.hpp"

namespace caffe {
namespace onednn {

typedef dnnl::memory::desc Layout;
typedef dnnl::memory::dims Dims;
typedef std::unordered_map<int, dnnl::memory> Arguments;

/// The two halves of a blob.
enum class Part { kData, kDiff };

enum class Slot {
  kPrimitive,
  kSource,
  kGradient,
  kWeights,
  kWeightsGradient,
  kBiasGradient,
  kPieces,
  kFloats,
  kMoreFloats
};

dnnl::engine& cpu_engine();

/// Runs the primitive and waits. A failure is a caffe::Error.
void run(const dnnl::primitive& primitive, const Arguments& arguments);

/// At least `bytes` bytes at a multiple of 64, valid until the thread's next call for that slot.
void* scratch(Slot slot, size_t bytes);
/// The same as memory of a layout.
dnnl::memory scratch(Slot slot, const Layout& layout);
inline float* scratch_floats(Slot slot, size_t count) {
  return static_cast<float*>(scratch(slot, count * sizeof(float)));
}

/// Rows of floats, the last axis without gaps.
Layout plain_layout(const Dims& dims);
/// What a layout's values are stored in.
typedef dnnl::memory::data_type Numbers;
Numbers numbers_of(const Layout& layout);
inline bool is_bf16(const Layout& layout) {
  return numbers_of(layout) == Numbers::bf16;
}

/// Any layout: the primitive chooses.
Layout any_layout(const Dims& dims, Numbers numbers = Numbers::f32);
Dims dims_of(const Layout& layout);
Dims dims_of(const Blob<float>& blob);

/// The layout of the values that are up to date.
Layout layout_of(const Blob<float>& blob, Part part = Part::kData);
/// Whether that layout is one of oneDNN's.
bool is_foreign(const Blob<float>& blob, Part part = Part::kData);

/// 16 for a 4-D layout of floats whose channels are in blocks of 16, where each pixel of a block is
/// a row of 16 values (oneDNN calls it nChw16c); 8 for blocks of 8; otherwise 0.
int channel_block(const Layout& layout);
/// The same for floats or bfloat16 numbers.
int stored_block(const Layout& layout);
/// stored_block() of a blob's data if its channels fill every block, otherwise 0.
int full_block(const Blob<float>& blob);
/// That layout for blocks of 16 or 8.
Layout blocked_layout(const Dims& dims, int block, Numbers numbers = Numbers::f32);

inline float* values(const dnnl::memory& memory) {
  return static_cast<float*>(memory.get_data_handle());
}

/// to = from, or to += from, for any layouts. reorder_count() does not count it.
void reorder(const dnnl::memory& from, const dnnl::memory& to, bool add = false);

/// The foreign copy of oneDNN's layers.
class OneDnnCopy : public ForeignCopy {
 public:
  OneDnnCopy(const Layout& layout, std::shared_ptr<void> buffer, size_t capacity)
      : layout_(layout),
        dims_(dims_of(layout)),
        buffer_(std::move(buffer)),
        capacity_(capacity),
        memory_(layout, cpu_engine(), buffer_.get()) {}
  /// Allocates its own memory.
  static std::shared_ptr<OneDnnCopy> make(const Layout& layout);
  /// In the memory of another one, `offset` bytes behind its beginning.
  static std::shared_ptr<OneDnnCopy> place_in(const OneDnnCopy& whole, size_t offset,
                                              const Layout& layout);
  /// Another one of the same memory, in which no Output writes as long as both exist.
  std::shared_ptr<OneDnnCopy> share() const {
    const auto other = std::make_shared<OneDnnCopy>(layout_, buffer_, capacity_);
    if (sharers_ == nullptr) sharers_ = std::make_shared<char>();
    other->sharers_ = sharers_;
    return other;
  }
  bool is_shared() const { return sharers_.use_count() > 1; }
  void copy_to(void* plain) const override;
  const Layout& layout() const { return layout_; }
  const Dims& dims() const { return dims_; }
  const std::shared_ptr<void>& buffer() const { return buffer_; }
  /// Bytes of the buffer.
  size_t capacity() const { return capacity_; }
  /// Whether it was made by place_in(): another copy has this memory, too.
  bool is_place() const { return is_place_; }
  const dnnl::memory& memory() const { return memory_; }

 private:
  Layout layout_;
  Dims dims_;
  std::shared_ptr<void> buffer_;
  size_t capacity_;
  dnnl::memory memory_;
  bool is_place_ = false;
  mutable std::shared_ptr<char> sharers_;  // as many holders as copies share the memory
};

/// The sum of two copies of one layout that nobody has computed yet: who asks for it as an
/// OneDnnCopy (current_copy) does, unless a layer computes it together with its own work
/// (pending_sum).
class PendingSum : public ForeignCopy {
 public:
  PendingSum(const std::shared_ptr<OneDnnCopy>& a, const std::shared_ptr<OneDnnCopy>& b)
      : a_(a->share()), b_(b->share()) {}
  void copy_to(void* plain) const override { computed()->copy_to(plain); }
  std::shared_ptr<OneDnnCopy> computed() const;
  const OneDnnCopy& a() const { return *a_; }
  const OneDnnCopy& b() const { return *b_; }

 private:
  std::shared_ptr<OneDnnCopy> a_, b_;
};

/// The pending sum of a blob if it is up to date and has that layout, otherwise null.
std::shared_ptr<PendingSum> pending_sum(const Blob<float>& blob, Part part, const Layout& layout);

/// The foreign copy of a blob if it is up to date and has the blob's shape, otherwise null.
std::shared_ptr<OneDnnCopy> current_copy(const Blob<float>& blob, Part part = Part::kData);

/// The values of a blob in a layout, valid as long as this object exists; values in a slot only
/// until the slot's next use.
class Input {
 public:
  Input(const Blob<float>& blob, Part part, const Layout& layout, Slot slot);
  const dnnl::memory& memory() const { return memory_; }

 private:
  dnnl::memory memory_;
  std::shared_ptr<OneDnnCopy> copy_;
};

/// Memory for a blob's new values in a layout. May be the memory of an Input of the same blob and
/// layout, for work in place.
class Output {
 public:
  Output(Blob<float>* blob, Part part, const Layout& layout);
  /// The same with the memory of `copy`, which becomes the blob's foreign copy.
  Output(Blob<float>* blob, Part part, const std::shared_ptr<OneDnnCopy>& copy);
  const dnnl::memory& memory() const { return memory_; }
  /// Marks the values as complete.
  void done();

 private:
  SyncedMemory* block_;
  std::shared_ptr<OneDnnCopy> copy_;  // null: plain
  dnnl::memory memory_;
};

/// A learnt blob's values or gradient, which are always stored row by row. `dims` is its shape as
/// oneDNN expects it, for example with an axis for the groups.
dnnl::memory plain_memory(const Blob<float>& blob, const Dims& dims);

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_MEMORY_HPP_
