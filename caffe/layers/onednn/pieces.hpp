#ifndef CAFFE_LAYERS_ONEDNN_PIECES_HPP_
#define CAFFE_LAYERS_ONEDNN_PIECES_HPP_

// Arithmetic in float on memories that may be stored in bfloat16 (caffe/util/math_mode.hpp): their
// values are converted piece by piece, so that a piece is still in the processor's caches when the
// next step needs it. Memories of floats are used where they are, as one piece.

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "caffe/layers/onednn/memory.hpp"
#include "caffe/util/bf16.hpp"

namespace caffe {
namespace onednn {

/// The values of a layout, with those that pad its channels.
inline int64_t stored_count(const Layout& layout) {
  return static_cast<int64_t>(layout.get_size() / (is_bf16(layout) ? sizeof(Bf16) : sizeof(float)));
}

inline Bf16* bf16_values(const dnnl::memory& memory) {
  return static_cast<Bf16*>(memory.get_data_handle());
}

/// widen() and narrow() by all threads or, where several work already, by this one.
void widen_by_all(const Bf16* from, int64_t count, float* to);
void narrow_by_all(const float* from, int64_t count, Bf16* to);

/// The floats of a piece.
struct Piece {
  int64_t begin, count;         // values of the memories
  std::vector<const float*> x;  // of each memory that is read
  std::vector<float*> y;        // of each that is written
};

typedef std::vector<const dnnl::memory*> Memories;

/// work(piece) for all values. All memories have one layout; `from` and `to` may overlap if they
/// are the same. If it is one of bfloat16, a piece has `length` values or, at the end, fewer, and
/// threads share the pieces, so that work() must not throw; otherwise there is one piece.
template <typename Work>
void in_pieces(const Memories& from, const Memories& to, int64_t length, const Work& work) {
  const Layout layout = (from.empty() ? to : from)[0]->get_desc();
  const int64_t count = stored_count(layout);
  if (!is_bf16(layout)) {
    Piece piece = {0, count, {}, {}};
    for (const dnnl::memory* const each : from) piece.x.push_back(values(*each));
    for (const dnnl::memory* const each : to) piece.y.push_back(values(*each));
    return work(piece);
  }
  length = std::min(length, count);
  const int64_t pieces = (count + length - 1) / length;
#pragma omp parallel for if (pieces >= omp_get_max_threads())
  for (int64_t i = 0; i < pieces; ++i) {
    float* room =
        scratch_floats(Slot::kPieces, (from.size() + to.size()) * length);  // the thread's
    Piece piece = {i * length, std::min(length, count - i * length), {}, {}};
    for (const dnnl::memory* const each : from) {
      widen_by_all(bf16_values(*each) + piece.begin, piece.count, room);
      piece.x.push_back(room);
      room += length;
    }
    for (size_t k = 0; k < to.size(); ++k, room += length) piece.y.push_back(room);
    work(piece);
    for (size_t k = 0; k < to.size(); ++k) {
      narrow_by_all(piece.y[k], piece.count, bf16_values(*to[k]) + piece.begin);
    }
  }
}

/// The values of a memory in blocks of channels as floats in the same order: the memory itself, or
/// a copy in a slot.
dnnl::memory as_floats(const dnnl::memory& memory, Slot slot);

/// Floats that become the values of a memory in blocks of channels, in place or through a slot.
class FloatResult {
 public:
  FloatResult(const dnnl::memory& to, Slot slot);
  const dnnl::memory& memory() const { return memory_; }
  /// After all of them are written.
  void done() const;

 private:
  dnnl::memory to_, memory_;
};

/// A length that suits arithmetic element by element: some arrays of it fit in the second cache.
constexpr int64_t kPieceLength = 1 << 14;

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_PIECES_HPP_
