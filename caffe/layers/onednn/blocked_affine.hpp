#ifndef CAFFE_LAYERS_ONEDNN_BLOCKED_AFFINE_HPP_
#define CAFFE_LAYERS_ONEDNN_BLOCKED_AFFINE_HPP_

// What a BatchNorm computes together with a Scale and a ReLU behind it, in blocks of channels:
//
//   y = max(0, factor (x - mean) + shift)
//
// with a mean, a factor and a shift for each channel. Each pass goes once over its values, and the
// results are the same bits for any number of threads and any vectors of the processor.
//
// All memories have the same layout, with full blocks (full_block).

#include "caffe/layers/onednn/memory.hpp"

namespace caffe {
namespace onednn {

struct BlockedAffine {
  const float* mean;    // [channels]
  const float* factor;  // [channels]
  const float* shift;   // [channels]
  bool relu;            // whether negative values become 0
};

/// Mean and (biased) variance of each channel, [channels].
void blocked_moments(const dnnl::memory& x, float* mean, float* variance);

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

void affine_backward(const AffineBackward& pass);

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_BLOCKED_AFFINE_HPP_
