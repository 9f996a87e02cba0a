#ifndef CAFFE_LAYERS_ONEDNN_MEMORY_HPP_
#define CAFFE_LAYERS_ONEDNN_MEMORY_HPP_

// Blobs as oneDNN sees them. Float, on the CPU.
//
// A blob's data and its gradient each lie row by row or in a layout of oneDNN's choice (a foreign
// copy: caffe/syncedmem.hpp). An adapter
//
//   asks     layout_of(blob): what is there now, and makes its primitives for that, or for a layout
//            of oneDNN's choice;
//   reads    Input in(blob, layout, slot): the values in that layout, in place when they have it,
//            else converted into scratch memory, which reorder_count() counts;
//   writes   Output out(blob, layout), run(...), out.done(): the blob has that layout from then on.
//
// Two layers that agree on a layout so convert nothing between them. Who reads the blob by
// cpu_data() gets plain values.
//
// Scratch memory belongs to the thread and is shared by all its layers: it is as large as the
// layer that needs most. One slot for each purpose, so that what one call needs at the same time
// does not overlap; it holds nothing from one call to the next.

#include <dnnl.hpp>

#include <memory>
#include <unordered_map>

#include "caffe/blob.hpp"

namespace caffe {
namespace onednn {

typedef dnnl::memory::desc Layout;
typedef dnnl::memory::dims Dims;
typedef std::unordered_map<int, dnnl::memory> Arguments;

/// Which half of a blob.
enum class Part { kData, kDiff };

enum class Slot { kPrimitive, kSource, kGradient, kWeights, kWeightsGradient, kBiasGradient };

dnnl::engine& cpu_engine();

/// Runs the primitive and waits. A failure is a caffe::Error.
void run(const dnnl::primitive& primitive, const Arguments& arguments);

/// At least `bytes` bytes at a multiple of 64, valid until the thread's next call for that slot.
void* scratch(Slot slot, size_t bytes);
/// The same as memory of a layout.
dnnl::memory scratch(Slot slot, const Layout& layout);

/// Rows of floats, the last axis without gaps.
Layout plain_layout(const Dims& dims);
/// Whatever suits the primitive.
Layout any_layout(const Dims& dims);
Dims dims_of(const Layout& layout);
Dims dims_of(const Blob<float>& blob);

/// How the values lie that are up to date.
Layout layout_of(const Blob<float>& blob, Part part = Part::kData);
/// Whether that is a layout of oneDNN's.
bool is_foreign(const Blob<float>& blob, Part part = Part::kData);

/// 16 for a 4-D layout whose channels lie in blocks of 16, each plane of a block being rows of 16
/// values (oneDNN calls it nChw16c), 8 likewise; else 0.
int channel_block(const Layout& layout);
/// channel_block() of a blob's data where its channels fill every block, else 0.
int full_block(const Blob<float>& blob);
/// That layout for blocks of 16 or 8.
Layout blocked_layout(const Dims& dims, int block);

/// to = from, or to += from, whatever their layouts. Does not count.
void reorder(const dnnl::memory& from, const dnnl::memory& to, bool add = false);

/// The foreign copy of oneDNN's layers.
class OneDnnCopy : public ForeignCopy {
 public:
  OneDnnCopy(const Layout& layout, std::shared_ptr<void> buffer, size_t capacity)
      : layout_(layout), buffer_(std::move(buffer)), capacity_(capacity) {}
  /// With memory of its own.
  static std::shared_ptr<OneDnnCopy> make(const Layout& layout);
  void copy_to(void* plain) const override;
  const Layout& layout() const { return layout_; }
  const std::shared_ptr<void>& buffer() const { return buffer_; }
  /// Bytes of the buffer.
  size_t capacity() const { return capacity_; }
  dnnl::memory memory() const { return dnnl::memory(layout_, cpu_engine(), buffer_.get()); }

 private:
  Layout layout_;
  std::shared_ptr<void> buffer_;
  size_t capacity_;
};

/// The foreign copy of a blob when it is up to date and of the blob's shape, else null.
std::shared_ptr<OneDnnCopy> current_copy(const Blob<float>& blob, Part part = Part::kData);

/// The values of a blob in a layout, for the life of this object; those of a slot until the slot's
/// next use.
class Input {
 public:
  Input(const Blob<float>& blob, Part part, const Layout& layout, Slot slot);
  const dnnl::memory& memory() const { return memory_; }

 private:
  dnnl::memory memory_;
  std::shared_ptr<OneDnnCopy> copy_;
};

/// Room for a blob's new values in a layout. May be the memory of an Input of the same blob and
/// layout: in place.
class Output {
 public:
  Output(Blob<float>* blob, Part part, const Layout& layout);
  /// The same with the memory of `copy`, which becomes the blob's.
  Output(Blob<float>* blob, Part part, const std::shared_ptr<OneDnnCopy>& copy);
  const dnnl::memory& memory() const { return memory_; }
  /// The values are there.
  void done();

 private:
  SyncedMemory* block_;
  std::shared_ptr<OneDnnCopy> copy_;  // null: plain
  dnnl::memory memory_;
};

/// A learnt blob's values or gradient, which always lie row by row. `dims` is its shape as oneDNN
/// wants it: with an axis for the groups, say.
dnnl::memory plain_memory(const Blob<float>& blob, const Dims& dims);

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_MEMORY_HPP_
