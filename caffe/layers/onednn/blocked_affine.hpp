#ifndef CAFFE_LAYERS_ONEDNN_BLOCKED_AFFINE_HPP_
#define CAFFE_LAYERS_ONEDNN_BLOCKED_AFFINE_HPP_

// What a BatchNorm computes together with a Scale and a ReLU behind it, in blocks of channels:
//
//   y = max(0, factor (x - mean) + shift)
//
// with a mean, a factor and a shift for each channel. The results are the same bits for any number
// of threads and any vectors of the processor.
//
// All memories have the same layout, with full blocks (full_block), of floats or of bfloat16
// numbers.

#include <functional>

#include "caffe/layers/onednn/memory.hpp"

namespace caffe {
namespace onednn {

struct BlockedAffine {
  const float* mean;    // [channels]
  const float* factor;  // [channels]
  const float* shift;   // [channels]
  bool relu;            // whether negative values become 0
};

/// Called between two sweeps over the values of some channels, from `begin` to before `end`.
/// Several threads may call it at the same time, for different channels.
typedef std::function<void(int begin, int end)> Between;

/// Writes mean and (biased) variance of each channel, [channels], and then y, for which between()
/// sets factor and shift. Both sweeps follow each other for each block of channels, so that the
/// second one finds its values in the processor's cache. affine.mean is `mean`; y may be x.
void normalise(const BlockedAffine& affine, const dnnl::memory& x, float* mean, float* variance,
               const Between& between, const dnnl::memory& y);

/// y may be x.
void affine_forward(const BlockedAffine& affine, const dnnl::memory& x, const dnnl::memory& y);

/// A backward pass. With g = dy where y > 0, or everywhere without a ReLU:
///   dx = slope[0] g + slope[1] (x - mean) + slope[2]
/// and, by channel, products = sum of g (x - mean), sums = sum of g.
struct AffineBackward {
  BlockedAffine affine;
  const dnnl::memory* x;
  const dnnl::memory* dy;
  const dnnl::memory* dx;  // null: not wanted; may be dy
  const float* slopes[3];  // [channels]; the last two may be null, for 0
  double* products;        // [channels], or null with sums: not wanted
  double* sums;            // [channels]
};

/// One sweep over the values.
void affine_backward(const AffineBackward& pass);
/// The same for slopes that depend on products and sums: between() sets them. Two sweeps, as in
/// normalise().
void affine_backward(const AffineBackward& pass, const Between& between);

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_BLOCKED_AFFINE_HPP_
