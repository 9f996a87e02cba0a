#ifndef KERNELS_COMPONENTS_HPP_
#define KERNELS_COMPONENTS_HPP_

// The connected components of a map's foreground: labels by runs, one component, its box.

#include <cstddef>
#include <cstdint>

#include "kernels/parallel.hpp"
#include "kernels/plane.hpp"

namespace maap {

/// The runs of a foreground, in a team's workspace. Row y's foreground is divided into runs; the
/// k-th has the number y * per_row + k, so numbers grow in raster order.
struct Runs {
  int per_row;
  int* runs;    // [height] number of runs per row
  int* begin;   // [height * per_row] first pixel
  int* end;     // [height * per_row] one past the last pixel
  int* parent;  // [height * per_row] a run of the same component, not after this one
  int* area;    // [height * per_row] pixels of the component, at its first run

  /// The memory that the runs of any plane need that is not larger than this.
  static MAAP_HD size_t bytes(size_t height, size_t width) {
    return (height + 4 * height * ((width + 1) / 2)) * sizeof(int);
  }
  MAAP_HD Runs(int* memory, int height, int width) : per_row((width + 1) / 2), runs(memory) {
    const int size = height * per_row;
    begin = runs + height;
    end = begin + size;
    parent = end + size;
    area = parent + size;
  }
};

/// The first run of the component that run i belongs to, as far as known.
MAAP_HD inline int find(volatile int* parent, int i) {
  for (int up = parent[i]; up != i; up = parent[i]) {
    const int above = parent[up];
    parent[i] = above;  // halves the path; a race only writes another ancestor
    i = above;
  }
  return i;
}

template <typename Team>
MAAP_HD void unite(const Team& team, int* parent, int a, int b) {
  for (;;) {
    a = find(parent, a);
    b = find(parent, b);
    if (a == b) return;
    const int later = a > b ? a : b, earlier = a > b ? b : a;
    const int seen = team.lower(&parent[later], earlier);
    if (seen == later) return;
    a = seen;  // another thread was faster: its link must remain, too
    b = earlier;
  }
}

/// Divides row y's foreground into runs, each a separate component.
template <typename T>
MAAP_HD void cut_row(const Plane<T>& plane, double threshold, const Runs& w, int y) {
  const T* row = plane.data + static_cast<int64_t>(y) * plane.width;
  int k = y * w.per_row;
  for (int x = 0; x < plane.width;) {
    while (x < plane.width && !(static_cast<double>(row[x]) > threshold)) ++x;
    if (x == plane.width) break;
    w.begin[k] = x;
    while (x<plane.width&& static_cast<double>(row[x])> threshold) ++x;
    w.end[k] = x;
    w.parent[k] = k;
    w.area[k] = 0;
    ++k;
  }
  w.runs[y] = k - y * w.per_row;
}

/// Unites the runs of rows y - 1 and y that touch: by a side, or, with `corners` 1 instead of 0, by
/// a corner.
template <typename Team>
MAAP_HD void join_rows(const Team& team, const Runs& w, int corners, int y) {
  int above = (y - 1) * w.per_row, here = y * w.per_row;
  const int above_end = above + w.runs[y - 1], here_end = here + w.runs[y];
  while (above < above_end && here < here_end) {
    if (w.begin[above] < w.end[here] + corners && w.begin[here] < w.end[above] + corners)
      unite(team, w.parent, above, here);
    if (w.end[above] < w.end[here]) {
      ++above;
    } else {
      ++here;
    }
  }
}

/// Divides the foreground, what is above the threshold, into components.
template <typename T, typename Team>
MAAP_HD void label(const Team& team, const Plane<T>& plane, double threshold, int corners,
                   const Runs& w) {
  for (int y = team.rank(); y < plane.height; y += team.size()) cut_row(plane, threshold, w, y);
  team.sync();
  for (int y = 1 + team.rank(); y < plane.height; y += team.size()) join_rows(team, w, corners, y);
  team.sync();
  for (int y = team.rank(); y < plane.height; y += team.size()) {
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y]; ++k)
      team.add(&w.area[find(w.parent, k)], w.end[k] - w.begin[k]);
  }
  team.sync();
}

/// The first run of the largest component (ties: the first in raster order); -1 if there is none.
template <typename Team>
MAAP_HD int largest(const Team& team, const Runs& w, int height) {
  unsigned long long best = 0;  // area, then the earlier first run
  for (int y = team.rank(); y < height; y += team.size()) {
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y]; ++k) {
      const unsigned long long key =
          static_cast<unsigned long long>(w.area[k]) << 32 | (0xffffffffu - k);
      if (key > best) best = key;
    }
  }
  best = team.max(best);
  return best == 0 ? -1 : static_cast<int>(0xffffffffu - static_cast<unsigned>(best));
}

/// The first run of the component that holds the plane's greatest value; of several pixels with
/// that value, the first in raster order counts. -1 if it is not above the threshold.
template <typename T, typename Team>
MAAP_HD int strongest(const Team& team, const Plane<T>& plane, T greatest, const Runs& w) {
  const int none = plane.height * w.per_row;
  int first = none;  // the first run that holds the value: runs are numbered in raster order
  for (int y = team.rank(); y < plane.height && first == none; y += team.size()) {
    const T* const row = plane.data + static_cast<int64_t>(y) * plane.width;
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y] && first == none; ++k) {
      for (int x = w.begin[k]; x < w.end[k]; ++x) {
        if (row[x] == greatest) first = k;
      }
    }
  }
  first = team.min(first);
  return first == none ? -1 : find(w.parent, first);
}

/// The bounding box of the component whose first run is `root`.
template <typename Team>
MAAP_HD Box box_of(const Team& team, const Runs& w, int root, int height, int width) {
  Box b = {width, height, 0, 0};
  for (int y = team.rank(); y < height; y += team.size()) {
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y]; ++k) {
      if (find(w.parent, k) != root) continue;
      b = {b.x1 < w.begin[k] ? b.x1 : w.begin[k], b.y1 < y ? b.y1 : y,
           b.x2 > w.end[k] ? b.x2 : w.end[k], y + 1};
    }
  }
  return {team.min(b.x1), team.min(b.y1), team.max(b.x2), team.max(b.y2)};
}

}  // namespace maap

#endif  // KERNELS_COMPONENTS_HPP_
