#ifndef KERNELS_REGION_HPP_
#define KERNELS_REGION_HPP_

// From attention maps to regions, on raw pointers of either device (no Caffe needed).
//
// For each image: the map is upsampled bilinearly to the input's size (half-pixel centres, edges
// repeated), thresholded by Otsu's method (256 bins between its minimum and maximum, in double,
// step by step as scikit-image's threshold_otsu does, on the map scaled by a power of two where its
// range is too small or too large for that; foreground = greater than the threshold), its
// foreground is divided into 8-connected components, and the bounding box of the largest one is the
// region (ties: the first in raster order). One functor does this for both devices, with one team
// per image; all data stays on the device.

#include <cstddef>

#include "kernels/device.hpp"

namespace maap {

struct RegionShape {
  int n;
  int map_height, map_width;
  int height, width;  // of the input
};

/// The numbers are those of EliminationParameter.ThresholdAt (maap.proto).
enum class ThresholdAt {
  kInput = 0,  // on the upsampled map
  kMap = 1     // on the map itself; the box is then scaled outward to whole pixels of the input
};

/// The name in maap.proto: "INPUT" or "MAP". Throws an Error for any other number.
const char* name_of(ThresholdAt at);

/// The columns of `stats`.
enum RegionStats { kThreshold, kMapMin, kMapMax, kComponentArea, kWholeImage, kStatsSize };

/// The bytes of scratch memory that find_regions needs on the device.
size_t region_workspace(Device device, const RegionShape& shape);

/// Computes upsampled maps, thresholds, components and boxes of a batch. Throws an Error if `at` is
/// neither of the two.
///   maps       [n, map_height, map_width]
///   upsampled  [n, height, width], out
///   regions    [n, 4], out: x1, y1, x2, y2 in pixels of the input, half-open
///   stats      [n, kStatsSize], out: threshold; least and greatest value of the thresholded map;
///              area of the component in that map's pixels; 1 if the region is the whole image
///              because the map is flat, else 0
///   bad        [n], out: 1 if the map contains a NaN or an infinity (its other results are then
///              meaningless), else 0
template <typename T>
void find_regions(Device device, const RegionShape& shape, ThresholdAt at, const T* maps,
                  T* upsampled, T* regions, T* stats, int* bad, void* workspace);

}  // namespace maap

#endif  // KERNELS_REGION_HPP_
