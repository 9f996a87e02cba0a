#ifndef KERNELS_RENDER_HPP_
#define KERNELS_RENDER_HPP_

// The input seen through the attention, D* = A* D, and its gradient, on raw pointers of either
// device.
//
// D, D* (n, channels, height, width); A (n, 1, height, width); regions (n, 4) and stats
// (n, kStatsSize) as in region.hpp. A, the regions and the statistics are constants here: they get
// no gradient.

#include <cstdint>

#include "kernels/device.hpp"

namespace maap {

/// The paper's definitions of A* (eq. 4 to 8, and the region itself), by their values inside and
/// outside the region, and WS-DAN's attention drop (arXiv 1901.09891, eq. 9). The numbers are those
/// of EliminationParameter.AStar (maap.proto), so a cast converts one into the other. Every
/// function that is given another number throws an Error.
enum class AStar {
  kRoi = 0,             // the region, resized bilinearly to the whole input
  kUncorrelated = 1,    // 1 inside, 0 outside
  kEnhance = 2,         // A + 1 inside, 0 outside
  kReduce = 3,          // 1 inside, A outside
  kAllSoft = 4,         // A everywhere
  kAllSoftPlusOne = 5,  // A + 1 everywhere
  kDrop = 6,            // 0 where A is greater than the threshold in the statistics, 1 elsewhere
};

constexpr AStar kAStars[] = {AStar::kRoi,    AStar::kUncorrelated, AStar::kEnhance,
                             AStar::kReduce, AStar::kAllSoft,      AStar::kAllSoftPlusOne,
                             AStar::kDrop};

/// The name in maap.proto: "ROI", "UNCORRELATED" ... Throws an Error for any other number.
const char* name_of(AStar a_star);

struct ImageShape {
  int n, channels, height, width;
};

/// D* from D. Throws an Error if `a_star` is none of kAStars.
template <typename T>
void render(Device device, const ImageShape& shape, AStar a_star, const T* d, const T* a,
            const T* regions, const T* stats, T* d_star);

/// dD = A* dD*; for kRoi the adjoint of crop and resize. Throws as render does.
template <typename T>
void render_backward(Device device, const ImageShape& shape, AStar a_star, const T* d_star_gradient,
                     const T* a, const T* regions, const T* stats, T* d_gradient);

/// x[i] = 0 for i in [0, n).
template <typename T>
void fill_zero(Device device, int64_t n, T* x);

}  // namespace maap

#endif  // KERNELS_RENDER_HPP_
