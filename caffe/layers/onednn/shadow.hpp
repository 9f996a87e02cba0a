#ifndef CAFFE_LAYERS_ONEDNN_SHADOW_HPP_
#define CAFFE_LAYERS_ONEDNN_SHADOW_HPP_

// Layers whose arithmetic does not depend on the order of the values, as long as all blobs have the
// same order (ReLU, a sum), run the plain layer's code on oneDNN's memory: on shadow blobs, which
// treat the memory of the real ones as plain. A layout may pad the channels with zeros; such a
// layer must keep these 0. Memory of bfloat16 numbers is converted piece by piece (pieces.hpp).

#include <memory>
#include <vector>

#include "caffe/layers/onednn/pieces.hpp"

namespace caffe {
namespace onednn {

/// A blob that uses other blobs' memory for its data and its gradient.
class Shadow {
 public:
  /// Sets the shape; uses no memory yet.
  explicit Shadow(const vector<int>& shape) : blob_(new Blob<float>(shape)) {}
  void set_data(const dnnl::memory& memory) { set_data(values(memory)); }
  void set_diff(const dnnl::memory& memory) { set_diff(values(memory)); }
  void set_data(const float* values) { set(blob_->data().get(), values); }
  void set_diff(const float* values) { set(blob_->diff().get(), values); }
  Blob<float>* get() const { return blob_.get(); }

 private:
  static void set(SyncedMemory* block, const float* values) {
    block->set_cpu_data(const_cast<float*>(values));
  }
  std::unique_ptr<Blob<float>> blob_;
};

/// The values of a piece as one row.
inline vector<int> flat_shape(const Piece& piece) {
  return {static_cast<int>(piece.count)};
}

/// Whether that half of both blobs has the same layout of oneDNN's.
inline bool same_foreign(const Blob<float>& a, Part part_a, const Blob<float>& b, Part part_b) {
  const auto copy_a = current_copy(a, part_a), copy_b = current_copy(b, part_b);
  return copy_a != nullptr && copy_b != nullptr && copy_a->layout() == copy_b->layout();
}

/// The layout to sum blobs in: the first of oneDNN's among them. False if there is none, or if more
/// than one blob would have to be converted.
inline bool common_layout(const vector<Blob<float>*>& blobs, Part part, Layout* layout) {
  bool found = false;
  for (const Blob<float>* const blob : blobs) {
    const auto copy = current_copy(*blob, part);
    if (copy == nullptr || found) continue;
    *layout = copy->layout();
    found = true;
  }
  int others = 0;
  for (const Blob<float>* const blob : blobs) {
    if (found && layout_of(*blob, part) != *layout) ++others;
  }
  return found && others <= 1;
}

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_SHADOW_HPP_
