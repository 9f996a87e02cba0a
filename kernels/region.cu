#include "kernels/region.hpp"

#include <cmath>

#include "kernels/parallel.hpp"
#include "kernels/resample.hpp"

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

/// A team's part of the workspace. Row y's foreground is divided into runs; the k-th has the number
/// y * per_row + k, so numbers grow in raster order.
template <typename T>
struct Workspace {
  int per_row;
  T* wide;      // [map_height, width] the map, upsampled in width only
  int* runs;    // [height] number of runs per row
  int* begin;   // [height * per_row] first pixel
  int* end;     // [height * per_row] one past the last pixel
  int* parent;  // [height * per_row] a run of the same component, not after this one
  int* area;    // [height * per_row] pixels of the component, at its first run

  static MAAP_HD size_t bytes(const RegionShape& s) {
    const size_t height = s.height > s.map_height ? s.height : s.map_height;
    const size_t width = s.width > s.map_width ? s.width : s.map_width;
    const size_t size = static_cast<size_t>(s.map_height) * s.width * sizeof(T) +
                        (height + 4 * height * ((width + 1) / 2)) * sizeof(int);
    return (size + 255) / 256 * 256;
  }
  MAAP_HD Workspace(void* memory, const RegionShape& s, const Plane<T>& plane)
      : per_row((plane.width + 1) / 2) {
    const int size = plane.height * per_row;
    wide = static_cast<T*>(memory);
    runs = reinterpret_cast<int*>(wide + s.map_height * s.width);
    begin = runs + plane.height;
    end = begin + size;
    parent = end + size;
    area = parent + size;
  }
};

/// Bilinear: first upsamples the map's rows in width, then computes every output row from two of
/// these. `kFar`: T cannot hold the difference between the map's least and greatest value.
template <bool kFar, typename T, typename Team>
MAAP_HD void upsample(const Team& team, const Plane<T>& in, const Workspace<T>& w, T* out,
                      int height, int width) {
#pragma unroll 1
  for (int x = team.rank(); x < width; x += team.size()) {
    const Tap<T> tap(x, in.width, width);
    for (int y = 0; y < in.height; ++y) {
      const T* const row = in.data + y * in.width;
      const T left = row[tap.first], right = row[tap.second];
      w.wide[y * width + x] =
          kFar ? mix_far(left, right, tap.weight) : mix(left, right, tap.weight);
    }
  }
  team.sync();
  constexpr int kRows = kTeamScratch / sizeof(Tap<T>);
  Tap<T>* const taps = static_cast<Tap<T>*>(team.scratch());
  for (int first = 0; first < height; first += kRows) {
    const int rows = kRows < height - first ? kRows : height - first;
#pragma unroll 1
    for (int k = team.rank(); k < rows; k += team.size())
      taps[k] = Tap<T>(first + k, in.height, height);
    team.sync();
    for (int k = 0; k < rows; ++k) {
      const Tap<T> tap = taps[k];
      const T *const top = w.wide + tap.first * width, *const bottom = w.wide + tap.second * width;
      T* const to = out + static_cast<int64_t>(first + k) * width;
      MAAP_SIMD for (int x = team.rank(); x < width; x += team.size()) to[x] =
          kFar ? mix_far(top[x], bottom[x], tap.weight) : mix(top[x], bottom[x], tap.weight);
    }
    team.sync();
  }
}

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

constexpr double kTwoTo400 = 2.58224987808690858965591917200e120;
constexpr double kTwoTo600 = 4.14951556888099295851240786369e180;

/// The bins of a histogram between low < high, as in numpy.histogram: bin i holds edge(i) <= value
/// < edge(i + 1), the last bin also its upper edge.
///
/// Where doubles are too coarse for that, the values are first scaled by a power of two, so that
/// squares of differences neither overflow nor underflow, and, if two edges would be equal, the
/// least value is subtracted. Both are exact, except for values that vanish beside the range. No
/// range of floats needs it.
class Bins {
 public:
  MAAP_HD Bins(double least, double greatest) : least_(least), shift_(0.), scale_(1.) {
    const double range = greatest - least;
    if (!(range <= kTwoTo400)) scale_ = 1. / kTwoTo600;
    if (range < 1. / kTwoTo400) scale_ = kTwoTo600;
    divide(least * scale_, greatest * scale_);
    if (edges_differ()) return;
    shift_ = least;
    divide(0., range * scale_);
  }
  /// Whether the values are used as they are.
  MAAP_HD bool plain() const { return shift_ == 0. && scale_ == 1.; }
  /// In bins, for plain values.
  MAAP_HD double place(double value) const { return (value - low_) * per_bin_; }
  /// Within this distance of a bin's middle, in bins, rounding does not matter.
  MAAP_HD double safe() const { return safe_; }
  /// Whether quick_bin() serves: plain floats whose range and bins' width are no extreme floats.
  MAAP_HD bool quick() const {
    return plain() && safe_ > 0.1 && step_ > 1e-30 && step_ < 1e30 && largest_ < 1e36;
  }
  /// A float's bin, computed in float, which GPUs do much faster than in double. False, as for one
  /// value in ten thousand, if rounding may have put it into another bin.
  MAAP_HD bool quick_bin(float value, int* bin) const {
    // Each of three operations rounds by 2^-24 of a place up to 256: 5e-5 bins.
    const float place = (value - static_cast<float>(low_)) * quick_per_bin_;
    *bin = static_cast<int>(place);
    const float off = place - static_cast<float>(*bin) - 0.5f;
    return (off < 0.f ? -off : off) < quick_safe_;
  }
  MAAP_HD int bin(double value) const {
    value = (value - shift_) * scale_;
    int i = static_cast<int>(place(value));
    if (i >= kBins) i = kBins - 1;
    if (value < edge(i)) return i - 1;
    return i < kBins - 1 && value >= edge(i + 1) ? i + 1 : i;
  }
  /// The middle of a bin, changed as the values are.
  MAAP_HD double centre(int i) const { return (edge(i) + edge(i + 1)) / 2.; }
  /// The middle of a bin: for plain values as numpy rounds it, else the greatest double not above.
  MAAP_HD double threshold(int i) const {
    const double exact = centre(i);
    if (plain()) return exact;
    const double rounded = exact / scale_ + shift_;
    return (rounded - shift_) * scale_ > exact ? nextafter(rounded, least_) : rounded;
  }

 private:
  MAAP_HD void divide(double low, double high) {
    low_ = low;
    high_ = high;
    step_ = (high - low) / kBins;
    per_bin_ = kBins / (high - low);
    const double above = low < 0 ? -low : low, below = high < 0 ? -high : high;
    largest_ = above > below ? above : below;
    safe_ = 0.5 - 1e-15 * (kBins + largest_ / step_);
    quick_per_bin_ = static_cast<float>(per_bin_);
    quick_safe_ = static_cast<float>(safe_ - 1e-4);
  }
  MAAP_HD double edge(int i) const { return i < kBins ? i * step_ + low_ : high_; }
  MAAP_HD bool edges_differ() const {
    if (step_ > 1e-15 * largest_) return true;  // more than the rounding of two edges
    for (int i = 0; i < kBins; ++i) {
      if (!(edge(i) < edge(i + 1))) return false;
    }
    return true;
  }

  double least_;
  double shift_, scale_;  // a value becomes (value - shift) * scale
  double low_, high_, step_, per_bin_, largest_, safe_;
  float quick_per_bin_, quick_safe_;  // for quick_bin()
};

/// Counts the plane's values into copies[k][bin]; with one copy, neighbouring values, which are
/// often in one bin, would wait for each other.
template <int kCopies, typename T, typename Team>
MAAP_HD void count_bins(const Team& team, const Plane<T>& plane, const Bins& bins,
                        int (*copies)[kBins]) {
  constexpr int kChunk = Team::size() == 1 ? 128 : 1;  // pixels a thread takes at once
  const int count = plane.height * plane.width;
  const bool plain = bins.plain();
  const double safe = bins.safe() > 0. ? bins.safe() * bins.safe() : -1.;
  const bool quick = kChunk == 1 && sizeof(T) == sizeof(float) && bins.quick();
  int quick_bin;
  for (int first = team.rank() * kChunk; first < count; first += team.size() * kChunk) {
    const int size = kChunk < count - first ? kChunk : count - first;
    const T* const values = plane.data + first;
    if (quick && bins.quick_bin(values[0], &quick_bin)) {
      team.add(&copies[first % kCopies][quick_bin], 1);
      continue;
    }
    int bin[kChunk];
    double near_edge = 0.;  // count of values that rounding may have put into another bin
    if (plain) {
      MAAP_SIMD_SUM(near_edge)
      for (int k = 0; k < size; ++k) {
        const double place = bins.place(values[k]);
        bin[k] = static_cast<int>(place);
        const double off = place - bin[k] - 0.5;
        near_edge += off * off > safe ? 1. : 0.;
      }
    }
    if (near_edge > 0. || !plain) {
      for (int k = 0; k < size; ++k) bin[k] = bins.bin(values[k]);
    }
    int k = 0;
    for (; k + kCopies <= size; k += kCopies) {
      for (int c = 0; c < kCopies; ++c) team.add(&copies[c][bin[k + c]], 1);
    }
    for (; k < size; ++k) team.add(&copies[(first + k) % kCopies][bin[k]], 1);
  }
}

/// The cumulative sums of `up_to` from the first bin on, of `from` from the last one on, and of
/// `histogram`, each by one thread; the threads are of different warps, so that none waits for
/// another.
template <typename Team>
MAAP_HD void add_up(const Team& team, double* up_to, double* from, const int* histogram,
                    int* counts) {
  constexpr int kWarp = 32, kLast = Team::size() - 1;
  if (team.rank() == 0) {
    double sum = 0.;
#pragma unroll 8
    for (int i = 0; i < kBins; ++i) up_to[i] = sum += up_to[i];
  }
  if (team.rank() == (kWarp < kLast ? kWarp : kLast)) {
    double sum = 0.;
#pragma unroll 8
    for (int i = kBins - 1; i >= 0; --i) from[i] = sum += from[i];
  }
  if (team.rank() == (2 * kWarp < kLast ? 2 * kWarp : kLast)) {
    int count = 0;
#pragma unroll 8
    for (int i = 0; i < kBins; ++i) counts[i] = count += histogram[i];
  }
}

// Loops that a thread of a GPU's team goes through once or seldom are not unrolled: the registers
// for it are better used elsewhere.

/// Otsu's threshold between low < high: the centre of the first bin that separates the two classes'
/// means best. Sums are computed as in numpy and scikit-image, operation by operation: each bin's
/// product, quotients and variance by a thread of its own, but the additions of the cumulative sums
/// one after the other, since rounding depends on their order, and a value that rounds to the other
/// side would give another region than the CPU finds. Two threads do these 2 x 256 additions at the
/// same time; what else the loop had, 512 divisions among it, is the team's.
template <typename T, typename Team>
MAAP_HD double otsu(const Team& team, const Plane<T>& plane, double low, double high) {
  constexpr int kCopies = 4;
  struct Scratch {
    union {
      int copies[kCopies][kBins];
      struct {
        double up_to[kBins];  // sum of the values in bins 0 to i
        double from[kBins];   // sum of the values in bins i and up
      };
    };
    int histogram[kBins];
    int counts[kBins];  // of values in bins 0 to i
  };
  static_assert(sizeof(Scratch) <= kTeamScratch, "kTeamScratch is too small for a histogram");
  Scratch* const s = static_cast<Scratch*>(team.scratch());
  const Bins bins(low, high);
  for (int i = team.rank(); i < kCopies * kBins; i += team.size())
    s->copies[i / kBins][i % kBins] = 0;
  team.sync();
  count_bins<kCopies>(team, plane, bins, s->copies);
  team.sync();
  for (int i = team.rank(); i < kBins; i += team.size()) {
    int count = 0;
    for (int k = 0; k < kCopies; ++k) count += s->copies[k][i];
    s->histogram[i] = count;
  }
  team.sync();
#pragma unroll 1
  for (int i = team.rank(); i < kBins; i += team.size())
    s->up_to[i] = s->from[i] = s->histogram[i] * bins.centre(i);
  team.sync();
  add_up(team, s->up_to, s->from, s->histogram, s->counts);
  team.sync();
  const double all = static_cast<double>(plane.height) * plane.width;
  double best = -1.;
  int best_bin = kBins;
#pragma unroll 1
  for (int i = team.rank(); i < kBins - 1; i += team.size()) {
    const double weight = s->counts[i], rest = all - weight;
    const double apart = s->up_to[i] / weight - s->from[i + 1] / rest;
    const double variance = weight * rest * (apart * apart);
    if (variance > best) {
      best = variance;
      best_bin = i;
    }
  }
  const double greatest = team.max(best);
  best_bin = team.min(best == greatest ? best_bin : kBins);
  return best_bin < kBins ? bins.threshold(best_bin) : low;
}

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

/// The largest 8-connected component above the threshold: its box and area. False if there is none.
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
  static constexpr int kLeastBlocks = 1;  // spills otherwise
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
    T low, high;
    find_range(team, map, &low, &high);
    if (high - low - (high - low) == T(0)) {
      upsample<false>(team, map, w, full, s.height, s.width);
    } else {
      upsample<true>(team, map, w, full, s.height, s.width);
    }
    const bool finite = all_finite(team, map);
    if (team.rank() == 0) bad[i] = !finite;
    if (!finite) {  // the caller may find out after it has used the region
      if (team.rank() == 0) {
        store(i, plane, {0, 0, plane.width, plane.height}, 0, T(0), T(0), 0, false);
      }
      return;
    }

    if (at == ThresholdAt::kInput) find_range(team, plane, &low, &high);
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

const char* name_of(ThresholdAt at) {
  switch (at) {
    case ThresholdAt::kInput:
      return "INPUT";
    case ThresholdAt::kMap:
      return "MAP";
  }
  throw Error("threshold_at number " + std::to_string(static_cast<int>(at)) +
              " is not one of EliminationParameter.ThresholdAt");
}

template <typename T>
void find_regions(Device device, const RegionShape& shape, ThresholdAt at, const T* maps,
                  T* upsampled, T* regions, T* stats, int* bad, void* workspace) {
  name_of(at);  // throws when it is neither
  parallel_teams(device, shape.n, static_cast<int64_t>(shape.height) * shape.width,
                 FindRegion<T>{shape, at, maps, upsampled, regions, stats, bad,
                               static_cast<char*>(workspace)});
}

template void find_regions(Device, const RegionShape&, ThresholdAt, const float*, float*, float*,
                           float*, int*, void*);
template void find_regions(Device, const RegionShape&, ThresholdAt, const double*, double*, double*,
                           double*, int*, void*);

}  // namespace maap
