#ifndef KERNELS_REGION_HPP_
#define KERNELS_REGION_HPP_

// From attention maps to regions, on raw pointers of either device (no Caffe needed).
//
// For each image: the map is upsampled bilinearly to the input's size (half-pixel centres, edges
// repeated), thresholded, its foreground (what is greater than the threshold) is divided into
// connected components, and the bounding box of one of them is the region. Unless a RegionRule says
// otherwise, the threshold is Otsu's (256 bins between the map's minimum and maximum, in double,
// step by step as scikit-image's threshold_otsu does, on the map scaled by a power of two where its
// range is too small or too large for that), the components are 8-connected, and the largest one
// counts (ties: the first in raster order). One functor does this for both devices, with one team
// per image; all data stays on the device.

#include <cstddef>
#include <string>

#include "kernels/device.hpp"

namespace maap {

struct RegionShape {
  int n;
  int map_height, map_width;
  int height, width;  // of the input
};

// The numbers of these three are those of EliminationParameter's enums (maap.proto).

enum class ThresholdAt {
  kInput = 0,  // on the upsampled map
  kMap = 1     // on the map itself; the box is then scaled outward to whole pixels of the input
};

/// Of a map whose values are from least to greatest. Every threshold is at least the least value
/// and less than the greatest, if rounding must be corrected for that.
enum class Threshold {
  kOtsu = 0,
  kMean = 1,     // the mean, in double: the sums of the rows, added up in their order
  kFraction = 2  // least + fraction (greatest - least), in double
};

/// Which component the region bounds.
enum class Component {
  kLargest = 0,   // ties: the first in raster order
  kStrongest = 1  // the one that holds the greatest value, at its first pixel in raster order
};

/// How a region is found; the fields of EliminationParameter, whose defaults are the paper's.
struct RegionRule {
  ThresholdAt at = ThresholdAt::kInput;
  Threshold threshold = Threshold::kOtsu;
  float fraction = 0.5f;  // of kFraction
  Component component = Component::kLargest;
  int connectivity = 8;  // or 4: without corners
  /// By this share of its width the box grows on the left and on the right, of its height above and
  /// below: rounded up to whole pixels of the input, in float, and cut at the input's edges. A
  /// whole image that is the region of a flat map stays as it is.
  float padding = 0;
  /// So many rows and columns at each edge of the map take the values of their nearest neighbours
  /// further in, before anything else.
  int border = 0;
};

/// The name in maap.proto: "INPUT", "MAP"; "OTSU" ...; "LARGEST" ... Throws an Error for any other
/// number.
const char* name_of(ThresholdAt at);
const char* name_of(Threshold threshold);
const char* name_of(Component component);

/// Throws an Error that begins with `who` for a value that RegionRule does not have: an unknown
/// number of an enum, a fraction outside of [0, 1), a connectivity that is neither 4 nor 8, a
/// padding outside of [0, 10], a border of half of the map's smaller side or more.
void check_rule(const RegionRule& rule, const RegionShape& shape, const std::string& who = "");

/// The columns of `stats`.
enum RegionStats { kThreshold, kMapMin, kMapMax, kComponentArea, kWholeImage, kStatsSize };

/// The bytes of scratch memory that find_regions needs on the device.
size_t region_workspace(Device device, const RegionShape& shape);

/// Computes upsampled maps, thresholds, components and boxes of a batch. Throws as check_rule does.
///   maps       [n, map_height, map_width]
///   upsampled  [n, height, width], out; of the map with its border changed
///   regions    [n, 4], out: x1, y1, x2, y2 in pixels of the input, half-open
///   stats      [n, kStatsSize], out: threshold; least and greatest value of the thresholded map;
///              area of the component in that map's pixels; 1 if the region is the whole image
///              because the map is flat, else 0
///   bad        [n], out: 1 if the map, its border included, contains a NaN or an infinity (its
///              other results are then meaningless), else 0
template <typename T>
void find_regions(Device device, const RegionShape& shape, const RegionRule& rule, const T* maps,
                  T* upsampled, T* regions, T* stats, int* bad, void* workspace);

}  // namespace maap

#endif  // KERNELS_REGION_HPP_
