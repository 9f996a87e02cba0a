#ifndef CAFFE_LAYERS_NEEDS_GPU_MEMORY_HPP_
#define CAFFE_LAYERS_NEEDS_GPU_MEMORY_HPP_

#include <cstddef>

namespace caffe {

/// A layer that needs GPU memory besides its tops and learnt blobs: it says how much, in bytes, for
/// gpu_memory_table (caffe/net_memory.hpp). The shapes are those of the last Reshape.
class NeedsGpuMemory {
 public:
  virtual ~NeedsGpuMemory() = default;
  /// What the layer keeps from one pass to the next.
  virtual size_t own_bytes() const { return 0; }
  /// What it needs while it computes, of the workspace that all layers share.
  virtual size_t workspace_bytes() const { return 0; }
};

/// The same of any layer: 0 if it needs none.
template <typename LayerClass>
size_t own_bytes_of(const LayerClass& layer) {
  const auto* const needs = dynamic_cast<const NeedsGpuMemory*>(&layer);
  return needs == nullptr ? 0 : needs->own_bytes();
}
template <typename LayerClass>
size_t workspace_bytes_of(const LayerClass& layer) {
  const auto* const needs = dynamic_cast<const NeedsGpuMemory*>(&layer);
  return needs == nullptr ? 0 : needs->workspace_bytes();
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_NEEDS_GPU_MEMORY_HPP_
