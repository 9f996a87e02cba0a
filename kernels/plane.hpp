#ifndef KERNELS_PLANE_HPP_
#define KERNELS_PLANE_HPP_

#include <cstdint>

#include "kernels/parallel.hpp"

namespace maap {

/// One map of values.
template <typename T>
struct Plane {
  const T* data;  // [height, width]
  int height, width;
};

/// Half-open, in pixels.
struct Box {
  int x1, y1, x2, y2;
};

/// The least and the greatest value.
template <typename T, typename Team>
MAAP_HD void find_range(const Team& team, const Plane<T>& plane, T* least, T* greatest) {
  const T* const data = plane.data;
  const int count = plane.height * plane.width;
  T low = data[0], high = data[0];
  MAAP_SIMD_RANGE(low, high)
  for (int j = team.rank(); j < count; j += team.size()) {
    low = data[j] < low ? data[j] : low;
    high = data[j] > high ? data[j] : high;
  }
  *least = team.min(low);
  *greatest = team.max(high);
}

template <typename T, typename Team>
MAAP_HD bool all_finite(const Team& team, const Plane<T>& plane) {
  int bad = 0;
  for (int i = team.rank(); i < plane.height * plane.width; i += team.size())
    bad |= !(plane.data[i] - plane.data[i] == T(0));
  return team.max(bad) == 0;
}

}  // namespace maap

#endif  // KERNELS_PLANE_HPP_
