#ifndef CAFFE_LAYERS_CUDNN_PLAN_HPP_
#define CAFFE_LAYERS_CUDNN_PLAN_HPP_

// What the adapters ask of cuDNN: one pass of one convolution, for given lengths, strides and type.
//
// The adapters and the cache of plans know this header alone. build() is implemented twice: in
// frontend/ by cuDNN's graphs, and in tests/shadow/cudnn/, for the tests' GPU made of threads, by
// plain loops that check what they are given.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "caffe/util/value_type.hpp"

namespace caffe {
namespace cudnn {

/// Where the values of an operand are.
struct Tensor {
  std::vector<int64_t> lengths;  // in the order N, C, spatial axes, whatever the layout
  std::vector<int64_t> strides;  // for each length, the distance between neighbours, in values

  /// As blobs are stored: the last axis is the innermost.
  static Tensor plain(std::vector<int64_t> lengths);
  /// C is the innermost axis, N the outermost (NHWC).
  static Tensor channels_last(std::vector<int64_t> lengths);
  /// The number of values.
  int64_t values() const;
  /// The values from the first to the last in memory, with the gaps between them.
  int64_t extent() const;

  bool operator==(const Tensor& other) const {
    return lengths == other.lengths && strides == other.strides;
  }
  bool operator<(const Tensor& other) const {
    return std::tie(lengths, strides) < std::tie(other.lengths, other.strides);
  }
};

/// The three products of a convolution.
enum class Pass { kForward, kData, kWeights };

/// "forward pass", "data gradient", "weight gradient"
const char* name_of(Pass pass);

/// One pass of y = x (*) w, with 2 or 3 spatial axes. The number of groups is x's channels divided
/// by w's.
struct Convolution {
  Pass pass = Pass::kForward;
  ValueType type = ValueType::kFloat;          // of x, w and y; sums are float, or double
  bool tf32 = false;                           // of floats: they may be rounded to TF32
  bool bias = false;                           // kForward: a value for each channel is added to y
  bool relu = false;                           // kForward, with bias: negative values of y become 0
  Tensor x, w, y;                              // [N, C, ...], [K, C / groups, ...], [N, K, ...]
  std::vector<int64_t> pad, stride, dilation;  // one for each spatial axis

  const Tensor& result() const { return pass == Pass::kForward ? y : pass == Pass::kData ? x : w; }
  size_t bytes_of(const Tensor& tensor) const {
    return static_cast<size_t>(tensor.extent()) * size_of(type);
  }
  /// "data gradient of 64x256x56x56 by 512x256x1x1, stride 2x2, pad 0x0, float"
  std::string describe() const;

  bool operator<(const Convolution& other) const {
    return std::tie(pass, type, tf32, bias, relu, x, w, y, pad, stride, dilation) <
           std::tie(other.pass, other.type, other.tf32, other.bias, other.relu, other.x, other.w,
                    other.y, other.pad, other.stride, other.dilation);
  }
};

/// GPU memory of the operands that a pass reads, and of its result, which is overwritten. A
/// gradient has the place of the values that it belongs to: kData reads y (its gradient) and w.
struct Operands {
  const void* x = nullptr;
  const void* w = nullptr;
  const void* y = nullptr;
  const void* bias = nullptr;  // [K]
  void* result = nullptr;
};

/// A way to compute one pass on one GPU.
class Plan {
 public:
  virtual ~Plan() = default;
  virtual size_t workspace_bytes() const = 0;
  /// Starts the computation on the calling thread's stream. `workspace` has `bytes` bytes of GPU
  /// memory, at least workspace_bytes(), which nothing else uses until the computation ends.
  virtual void run(const Operands& operands, void* workspace, size_t bytes) const = 0;
};

/// A plan that needs at most `most_workspace` bytes, for the calling thread's GPU; null, with the
/// reason, if there is none.
std::shared_ptr<Plan> build(const Convolution& convolution, size_t most_workspace,
                            std::string* reason);

/// Whether build() finds the fastest plan by timing: CAFFE_CUDNN_AUTOTUNE=1 in the environment.
bool autotunes();

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_PLAN_HPP_
