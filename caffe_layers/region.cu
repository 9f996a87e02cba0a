#include "caffe_layers/region.hpp"

#include "caffe_layers/resample.hpp"

namespace maap {
namespace {

constexpr int kBins = 256;

template <typename T>
struct Plane {
  const T* data;  // [height, width]
  int height, width;
};

/// Half-open, in pixels.
struct Box {
  int x1, y1, x2, y2;
};

/// A team's part of the workspace. Row y's foreground is cut into runs; the k-th has the number
/// y * per_row + k, so numbers grow in raster order.
template <typename T>
struct Workspace {
  int per_row;
  Tap<T>* columns;  // [width]
  int* runs;        // [height] how many runs a row has
  int* begin;       // [height * per_row] first pixel
  int* end;         // [height * per_row] one past the last pixel
  int* parent;      // [height * per_row] a run of the same component, not after this one
  int* area;        // [height * per_row] pixels of the component, at its first run

  static MAAP_HD size_t bytes(const RegionShape& s) {
    const size_t height = s.height > s.map_height ? s.height : s.map_height;
    const size_t width = s.width > s.map_width ? s.width : s.map_width;
    const size_t size =
        width * sizeof(Tap<T>) + (height + 4 * height * ((width + 1) / 2)) * sizeof(int);
    return (size + 255) / 256 * 256;
  }
  MAAP_HD Workspace(void* memory, const RegionShape& s, const Plane<T>& plane)
      : per_row((plane.width + 1) / 2) {
    const int size = plane.height * per_row;
    columns = static_cast<Tap<T>*>(memory);
    runs = reinterpret_cast<int*>(columns + s.width);
    begin = runs + plane.height;
    end = begin + size;
    parent = end + size;
    area = parent + size;
  }
};

template <typename T, typename Team>
MAAP_HD void upsample(const Team& team, const Plane<T>& in, Tap<T>* columns, T* out, int height,
                      int width) {
  for (int x = team.rank(); x < width; x += team.size()) columns[x] = Tap<T>(x, in.width, width);
  team.sync();
  // The CPU's one thread walks whole rows; the threads of a block share each row.
  for (int y = 0; y < height; ++y) {
    const Tap<T> row(y, in.height, height);
    for (int x = team.rank(); x < width; x += team.size())
      out[static_cast<int64_t>(y) * width + x] = bilinear(in.data, in.width, row, columns[x]);
  }
  team.sync();
}

template <typename T, typename Team>
MAAP_HD bool all_finite(const Team& team, const Plane<T>& plane) {
  int bad = 0;
  for (int i = team.rank(); i < plane.height * plane.width; i += team.size())
    bad |= !(plane.data[i] - plane.data[i] == T(0));
  return team.max(bad) == 0;
}

/// Otsu's threshold between low < high: the centre of the first bin whose cut separates the two
/// classes' means best. Bins and sums as numpy.histogram and scikit-image make them, operation by
/// operation.
template <typename T, typename Team>
MAAP_HD double otsu(const Team& team, const Plane<T>& plane, double low, double high) {
  struct Scratch {
    double back_sum[kBins];  // sum of the values in bins i and up
    int histogram[kBins];
    double threshold;
  };
  static_assert(sizeof(Scratch) <= kTeamScratch, "kTeamScratch is too small for a histogram");
  Scratch* const s = static_cast<Scratch*>(team.scratch());
  const double step = (high - low) / kBins, per_bin = kBins / (high - low);
  const auto edge = [=](int i) { return i < kBins ? i * step + low : high; };
  const auto centre = [=](int i) { return (edge(i) + edge(i + 1)) / 2.; };

  for (int i = team.rank(); i < kBins; i += team.size()) s->histogram[i] = 0;
  team.sync();
  for (int i = team.rank(); i < plane.height * plane.width; i += team.size()) {
    const double value = plane.data[i];
    int bin = static_cast<int>((value - low) * per_bin);
    if (bin >= kBins) bin = kBins - 1;
    if (value < edge(bin)) {
      --bin;
    } else if (bin < kBins - 1 && value >= edge(bin + 1)) {
      ++bin;
    }
    team.add(&s->histogram[bin], 1);
  }
  team.sync();
  if (team.rank() == 0) {
    double weight = 0., sum = 0., best = -1.;
    for (int i = kBins - 1; i >= 0; --i) s->back_sum[i] = sum += s->histogram[i] * centre(i);
    const double count = static_cast<double>(plane.height) * plane.width;
    s->threshold = low;
    sum = 0.;
    for (int i = 0; i < kBins - 1; ++i) {
      weight += s->histogram[i];
      sum += s->histogram[i] * centre(i);
      const double rest = count - weight;
      const double apart = sum / weight - s->back_sum[i + 1] / rest;
      const double variance = weight * rest * (apart * apart);
      if (variance > best) {
        best = variance;
        s->threshold = centre(i);
      }
    }
  }
  team.sync();
  return s->threshold;
}

/// The first run of the component that run i belongs to, as far as it is known.
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
    a = seen;  // another thread was faster: its link must hold too
    b = earlier;
  }
}

/// Cuts row y's foreground into runs, each its own component.
template <typename T>
MAAP_HD void cut_row(const Plane<T>& plane, double threshold, const Workspace<T>& w, int y) {
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

/// Unites the runs of rows y - 1 and y that touch, corners included.
template <typename T, typename Team>
MAAP_HD void join_rows(const Team& team, const Workspace<T>& w, int y) {
  int above = (y - 1) * w.per_row, here = y * w.per_row;
  const int above_end = above + w.runs[y - 1], here_end = here + w.runs[y];
  while (above < above_end && here < here_end) {
    if (w.begin[above] <= w.end[here] && w.begin[here] <= w.end[above])
      unite(team, w.parent, above, here);
    if (w.end[above] < w.end[here]) {
      ++above;
    } else {
      ++here;
    }
  }
}

/// The largest 8-connected component above the threshold: its box and area. False when there is
/// none.
template <typename T, typename Team>
MAAP_HD bool largest_component(const Team& team, const Plane<T>& plane, double threshold,
                               const Workspace<T>& w, Box* box, int* area) {
  for (int y = team.rank(); y < plane.height; y += team.size()) cut_row(plane, threshold, w, y);
  team.sync();
  for (int y = 1 + team.rank(); y < plane.height; y += team.size()) join_rows(team, w, y);
  team.sync();
  for (int y = team.rank(); y < plane.height; y += team.size()) {
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y]; ++k)
      team.add(&w.area[find(w.parent, k)], w.end[k] - w.begin[k]);
  }
  team.sync();
  unsigned long long best = 0;  // area, then the earlier first run
  for (int y = team.rank(); y < plane.height; y += team.size()) {
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y]; ++k) {
      const unsigned long long key =
          static_cast<unsigned long long>(w.area[k]) << 32 | (0xffffffffu - k);
      if (key > best) best = key;
    }
  }
  best = team.max(best);
  if (best == 0) return false;
  const int root = static_cast<int>(0xffffffffu - static_cast<unsigned>(best));
  Box b = {plane.width, plane.height, 0, 0};
  for (int y = team.rank(); y < plane.height; y += team.size()) {
    for (int k = y * w.per_row; k < y * w.per_row + w.runs[y]; ++k) {
      if (find(w.parent, k) != root) continue;
      b = {b.x1 < w.begin[k] ? b.x1 : w.begin[k], b.y1 < y ? b.y1 : y,
           b.x2 > w.end[k] ? b.x2 : w.end[k], y + 1};
    }
  }
  *box = {team.min(b.x1), team.min(b.y1), team.max(b.x2), team.max(b.y2)};
  *area = static_cast<int>(best >> 32);
  return true;
}

template <typename T>
struct FindRegion {
  RegionShape s;
  ThresholdAt at;
  const T* maps;  // [n, map_height, map_width]
  T* upsampled;   // [n, height, width]
  T* regions;     // [n, 4]
  T* stats;       // [n, kStatsSize]
  int* bad;       // [n]
  char* workspace;

  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const Plane<T> map = {maps + static_cast<int64_t>(i) * s.map_height * s.map_width, s.map_height,
                          s.map_width};
    T* const full = upsampled + static_cast<int64_t>(i) * s.height * s.width;
    const Plane<T> plane = at == ThresholdAt::kMap ? map : Plane<T>{full, s.height, s.width};
    const Workspace<T> w(workspace + team.slot() * Workspace<T>::bytes(s), s, plane);
    upsample(team, map, w.columns, full, s.height, s.width);
    const bool finite = all_finite(team, map);
    if (team.rank() == 0) bad[i] = !finite;
    if (!finite) return;

    T low = plane.data[0], high = low;
    for (int j = team.rank(); j < plane.height * plane.width; j += team.size()) {
      low = plane.data[j] < low ? plane.data[j] : low;
      high = plane.data[j] > high ? plane.data[j] : high;
    }
    low = team.min(low);
    high = team.max(high);
    double threshold = low;
    int area = plane.height * plane.width;
    Box box = {0, 0, plane.width, plane.height};
    bool found = false;
    if (low < high) {
      threshold = otsu(team, plane, low, high);
      found = largest_component(team, plane, threshold, w, &box, &area);
    }
    if (team.rank() == 0) store(i, plane, box, threshold, low, high, area, found);
  }

  MAAP_HD void store(int i, const Plane<T>& plane, const Box& box, double threshold, T low, T high,
                     int area, bool found) const {
    const auto scale = [](int v, int from, int to, int up) {
      return static_cast<T>((static_cast<int64_t>(v) * to + up) / from);
    };
    T* r = regions + static_cast<int64_t>(i) * 4;
    r[0] = scale(box.x1, plane.width, s.width, 0);
    r[1] = scale(box.y1, plane.height, s.height, 0);
    r[2] = scale(box.x2, plane.width, s.width, plane.width - 1);
    r[3] = scale(box.y2, plane.height, s.height, plane.height - 1);
    T* t = stats + static_cast<int64_t>(i) * kStatsSize;
    t[kThreshold] = static_cast<T>(threshold);
    t[kMapMin] = low;
    t[kMapMax] = high;
    t[kComponentArea] = static_cast<T>(area);
    t[kWholeImage] = found ? T(0) : T(1);
  }
};

}  // namespace

size_t region_workspace(Device device, const RegionShape& shape) {
  return team_slots(device, shape.n) * Workspace<double>::bytes(shape);
}

template <typename T>
void find_regions(Device device, const RegionShape& shape, ThresholdAt at, const T* maps,
                  T* upsampled, T* regions, T* stats, int* bad, void* workspace) {
  parallel_teams(device, shape.n, static_cast<int64_t>(shape.height) * shape.width,
                 FindRegion<T>{shape, at, maps, upsampled, regions, stats, bad,
                               static_cast<char*>(workspace)});
}

template void find_regions(Device, const RegionShape&, ThresholdAt, const float*, float*, float*,
                           float*, int*, void*);
template void find_regions(Device, const RegionShape&, ThresholdAt, const double*, double*, double*,
                           double*, int*, void*);

}  // namespace maap
