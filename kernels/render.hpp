#ifndef CAFFE_LAYERS_RENDER_HPP_
#define CAFFE_LAYERS_RENDER_HPP_

// The input seen through the attention, D* = A* D, and its gradient, on raw pointers of either
// device.
//
// D, D* (n, channels, height, width); A (n, 1, height, width); regions (n, 4) as in region.hpp. A
// and the regions are constants here: they get no gradient.

#include <cstdint>

#include "kernels/device.hpp"

namespace maap {

/// The paper's definitions of A* (eq. 4 to 8, and the region itself), by their values inside and
/// outside the region.
enum class AStar {
  kRoi,             // the region, resized bilinearly to the whole input
  kUncorrelated,    // 1 inside, 0 outside
  kEnhance,         // A + 1 inside, 0 outside
  kReduce,          // 1 inside, A outside
  kAllSoft,         // A everywhere
  kAllSoftPlusOne,  // A + 1 everywhere
};

struct ImageShape {
  int n, channels, height, width;
};

/// D* from D.
template <typename T>
void render(Device device, const ImageShape& shape, AStar a_star, const T* d, const T* a,
            const T* regions, T* d_star);

/// dD = A* dD*; for kRoi the adjoint of crop and resize.
template <typename T>
void render_backward(Device device, const ImageShape& shape, AStar a_star, const T* d_star_gradient,
                     const T* a, const T* regions, T* d_gradient);

/// x[i] = 0 for i in [0, n).
template <typename T>
void fill_zero(Device device, int64_t n, T* x);

}  // namespace maap

#endif  // CAFFE_LAYERS_RENDER_HPP_
