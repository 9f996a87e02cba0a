#ifndef CAFFE_UTIL_GPU_WORKSPACE_HPP_
#define CAFFE_UTIL_GPU_WORKSPACE_HPP_

#include <cstddef>

namespace caffe {
namespace device {

/// The calling thread's GPU memory for what a layer needs only while it computes: valid until the
/// next call, and the same for all layers, since the stream does one's work after the other's.
void* workspace(size_t bytes);
/// The same beside it, for operands of one product that are converted first: its other operand may
/// be in the workspace.
void* operand_room(size_t bytes);
/// Where, behind an array of so many bytes, another one may start in such a block.
constexpr size_t aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace device
}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_WORKSPACE_HPP_
