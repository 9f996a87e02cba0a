#ifndef CAFFE_LAYERS_CUDNN_CONV_PLAN_HPP_
#define CAFFE_LAYERS_CUDNN_CONV_PLAN_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <vector>

namespace caffe {
namespace cudnn {

/// One of the three products of a convolution.
enum class ConvPass { kForward, kData, kWeights };

/// A convolution of row-major blobs: y = x (*) w. All lengths are those of NCHW order.
struct ConvShape {
  bool is_double = false;
  std::vector<int64_t> x, w, y;  // [N, C, ...], [K, C / groups, ...], [N, K, ...]
  std::vector<int64_t> pad, stride, dilation;

  bool operator<(const ConvShape& other) const {
    return std::tie(is_double, x, w, y, pad, stride, dilation) <
           std::tie(other.is_double, other.x, other.w, other.y, other.pad, other.stride,
                    other.dilation);
  }
};

/// cuDNN's way to compute one pass for one shape on one GPU.
class ConvPlan {
 public:
  virtual ~ConvPlan() = default;
  /// The calling thread's plan, made at the first request; null if cuDNN has none.
  static std::shared_ptr<ConvPlan> find(ConvPass pass, const ConvShape& shape);

  /// kForward: y from x and w. kData: the gradient of x from y's and w. kWeights: the gradient of w
  /// from x and y's. The result is overwritten. Uses the context's workspace.
  virtual void run(const void* first, const void* second, void* result) const = 0;
  /// Bytes.
  virtual size_t workspace() const = 0;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_CONV_PLAN_HPP_
