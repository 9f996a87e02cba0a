#ifndef CAFFE_UTIL_LRN_ACROSS_HPP_
#define CAFFE_UTIL_LRN_ACROSS_HPP_

// LRN across channels on the CPU, in float, for images that are plain or in blocks of channels:
//
//   y  = x s^-beta, where s = k + alpha / n * sum of x^2 over the n channels around x's own
//   dx = dy s^-beta - 2 beta alpha / n * x * sum of dy x s^(-beta - 1) over the same channels
//
// A pass reads and writes each value once: all channels of a few pixels stay in the caches between
// its steps. The backward pass needs x alone and computes s again, which takes no longer than
// reading it. Results are the same bits for any number of threads and any instructions.

#include <cstddef>

#include "caffe/util/cpu_isa.hpp"

namespace caffe {
namespace lrn_across {

/// [images][channels][pixels], or, with a block of 8 or 16, [images][channels / block, rounded
/// up][pixels][block], where values that pad the channels are 0.
struct Images {
  int images, channels, pixels;
  int block;  // 0: plain
};

struct Window {
  int size;  // n, odd
  float alpha, beta, k;
};

/// Writes y, with padding of 0.
void forward(const Images& images, const Window& window, const float* x, float* y,
             Isa isa = best_isa());

/// Writes dx, with padding of 0. If `relu`, x comes from a ReLU, and the gradient goes through that
/// as well: dx is 0 where x is 0.
void backward(const Images& images, const Window& window, const float* x, const float* dy,
              bool relu, float* dx, Isa isa = best_isa());

}  // namespace lrn_across
}  // namespace caffe

#endif  // CAFFE_UTIL_LRN_ACROSS_HPP_
