#include "kernels/region.hpp"

#include <cmath>
#include <cstdio>

#include "kernels/components.hpp"
#include "kernels/parallel.hpp"
#include "kernels/plane.hpp"
#include "kernels/resample.hpp"
#include "kernels/thresholds.hpp"

namespace maap {
namespace {

/// A team's part of the workspace.
template <typename T>
struct Workspace {
  T* wide;    // [map_height, width] the map, upsampled in width only
  T* inner;   // [map_height, map_width] the map with its border changed
  int* runs;  // of the components

  static MAAP_HD size_t bytes(const RegionShape& s) {
    const size_t height = s.height > s.map_height ? s.height : s.map_height;
    const size_t width = s.width > s.map_width ? s.width : s.map_width;
    const size_t maps = static_cast<size_t>(s.map_height) * (s.width + s.map_width);
    return (maps * sizeof(T) + Runs::bytes(height, width) + 255) / 256 * 256;
  }
  MAAP_HD Workspace(void* memory, const RegionShape& s)
      : wide(static_cast<T*>(memory)),
        inner(wide + static_cast<int64_t>(s.map_height) * s.width),
        runs(reinterpret_cast<int*>(inner + static_cast<int64_t>(s.map_height) * s.map_width)) {}
};

/// Copies a map; its outermost `border` rows and columns become their nearest neighbours further
/// in.
template <typename T, typename Team>
MAAP_HD void repeat_inner(const Team& team, const Plane<T>& in, int border, T* out) {
  const auto inside = [border](int i, int size) {
    return i < border ? border : i < size - border ? i : size - border - 1;
  };
  for (int i = team.rank(); i < in.height * in.width; i += team.size()) {
    const int y = inside(i / in.width, in.height), x = inside(i % in.width, in.width);
    out[i] = in.data[y * in.width + x];
  }
  team.sync();
}

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

template <typename T>
struct FindRegion {
  static constexpr int kLeastBlocks = 1;  // spills otherwise
  RegionShape s;
  RegionRule rule;
  const T* maps;  // [n, map_height, map_width]
  T* upsampled;   // [n, height, width]
  T* regions;     // [n, 4]
  T* stats;       // [n, kStatsSize]
  int* bad;       // [n]
  char* workspace;

  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const Plane<T> given = {maps + static_cast<int64_t>(i) * s.map_height * s.map_width,
                            s.map_height, s.map_width};
    T* const full = upsampled + static_cast<int64_t>(i) * s.height * s.width;
    const Workspace<T> w(workspace + team.slot() * Workspace<T>::bytes(s), s);
    if (rule.border > 0) repeat_inner(team, given, rule.border, w.inner);
    const Plane<T> map = {rule.border > 0 ? w.inner : given.data, s.map_height, s.map_width};
    const Plane<T> plane = rule.at == ThresholdAt::kMap ? map : Plane<T>{full, s.height, s.width};
    T low, high;
    find_range(team, map, &low, &high);
    if (high - low - (high - low) == T(0)) {
      upsample<false>(team, map, w, full, s.height, s.width);
    } else {
      upsample<true>(team, map, w, full, s.height, s.width);
    }
    const bool finite = all_finite(team, given);
    if (team.rank() == 0) bad[i] = !finite;
    if (!finite) {  // the caller may find out after it has used the region
      if (team.rank() == 0) {
        store(i, plane, {0, 0, plane.width, plane.height}, 0, T(0), T(0), 0, false);
      }
      return;
    }

    if (rule.at == ThresholdAt::kInput) find_range(team, plane, &low, &high);
    double threshold = low;
    int area = plane.height * plane.width;
    Box box = {0, 0, plane.width, plane.height};
    bool found = false;
    if (low < high) {
      threshold = threshold_of(team, plane, low, high);
      found = find_component(team, plane, threshold, high, w.runs, &box, &area);
    }
    if (team.rank() == 0) store(i, plane, box, threshold, low, high, area, found);
  }

  template <typename Team>
  MAAP_HD double threshold_of(const Team& team, const Plane<T>& plane, T low, T high) const {
    if (rule.threshold == Threshold::kMean) return mean_threshold(team, plane, low, high);
    if (rule.threshold == Threshold::kFraction) return fraction_threshold(rule.fraction, low, high);
    return otsu(team, plane, low, high);
  }

  /// The component that counts: its box and area. False if nothing is above the threshold.
  template <typename Team>
  MAAP_HD bool find_component(const Team& team, const Plane<T>& plane, double threshold, T high,
                              int* memory, Box* box, int* area) const {
    const Runs runs(memory, plane.height, plane.width);
    label(team, plane, threshold, rule.connectivity == 8 ? 1 : 0, runs);
    const int root = rule.component == Component::kStrongest ? strongest(team, plane, high, runs)
                                                             : largest(team, runs, plane.height);
    if (root < 0) return false;
    *area = runs.area[root];
    *box = box_of(team, runs, root, plane.height, plane.width);
    return true;
  }

  MAAP_HD void store(int i, const Plane<T>& plane, const Box& box, double threshold, T low, T high,
                     int area, bool found) const {
    const auto scale = [](int v, int from, int to, int up) {
      return static_cast<int>((static_cast<int64_t>(v) * to + up) / from);
    };
    Box b = {scale(box.x1, plane.width, s.width, 0), scale(box.y1, plane.height, s.height, 0),
             scale(box.x2, plane.width, s.width, plane.width - 1),
             scale(box.y2, plane.height, s.height, plane.height - 1)};
    if (found && rule.padding > 0.f) {
      pad(&b.x1, &b.x2, s.width);
      pad(&b.y1, &b.y2, s.height);
    }
    T* r = regions + static_cast<int64_t>(i) * 4;
    r[0] = static_cast<T>(b.x1);
    r[1] = static_cast<T>(b.y1);
    r[2] = static_cast<T>(b.x2);
    r[3] = static_cast<T>(b.y2);
    T* t = stats + static_cast<int64_t>(i) * kStatsSize;
    t[kThreshold] = static_cast<T>(threshold);
    t[kMapMin] = low;
    t[kMapMax] = high;
    t[kComponentArea] = static_cast<T>(area);
    t[kWholeImage] = found ? T(0) : T(1);
  }

  /// In float, whose rounding makes 1 of 0.1 times 10: the next double would be above.
  MAAP_HD void pad(int* first, int* last, int size) const {
    const float share = rule.padding * static_cast<float>(*last - *first);
    const int more = share < static_cast<float>(size) ? static_cast<int>(ceilf(share)) : size;
    *first = *first > more ? *first - more : 0;
    *last = *last < size - more ? *last + more : size;
  }
};

[[noreturn]] void fail(const char* field, const char* name, int number) {
  throw Error(std::string(field) + " number " + std::to_string(number) +
              " is not one of EliminationParameter." + name);
}

/// As people write it: "0.5", not "0.500000".
std::string number(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
}

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
  fail("threshold_at", "ThresholdAt", static_cast<int>(at));
}

const char* name_of(Threshold threshold) {
  switch (threshold) {
    case Threshold::kOtsu:
      return "OTSU";
    case Threshold::kMean:
      return "MEAN";
    case Threshold::kFraction:
      return "FRACTION";
  }
  fail("threshold", "Threshold", static_cast<int>(threshold));
}

const char* name_of(Component component) {
  switch (component) {
    case Component::kLargest:
      return "LARGEST";
    case Component::kStrongest:
      return "STRONGEST";
  }
  fail("component", "Component", static_cast<int>(component));
}

void check_rule(const RegionRule& rule, const RegionShape& shape, const std::string& who) {
  name_of(rule.at);  // each throws for a number that is none
  name_of(rule.threshold);
  name_of(rule.component);
  if (!(rule.fraction >= 0.f && rule.fraction < 1.f)) {
    throw Error(who + "fraction is " + number(rule.fraction) +
                "; give a number of at least 0 and less than 1");
  }
  if (rule.connectivity != 4 && rule.connectivity != 8) {
    throw Error(who + "connectivity is " + std::to_string(rule.connectivity) +
                "; give 8 (pixels that meet at a corner are of one component) or 4");
  }
  if (!(rule.padding >= 0.f && rule.padding <= 10.f)) {
    throw Error(who + "padding is " + number(rule.padding) + "; give a number from 0 to 10");
  }
  const int smaller = shape.map_height < shape.map_width ? shape.map_height : shape.map_width;
  if (rule.border < 0 || rule.border >= (smaller + 1) / 2) {
    throw Error(who + "border is " + std::to_string(rule.border) + " for a map of " +
                std::to_string(shape.map_height) + "x" + std::to_string(shape.map_width) +
                "; give less than half of the smaller side: at most " +
                std::to_string((smaller - 1) / 2));
  }
}

template <typename T>
void find_regions(Device device, const RegionShape& shape, const RegionRule& rule, const T* maps,
                  T* upsampled, T* regions, T* stats, int* bad, void* workspace) {
  check_rule(rule, shape);
  parallel_teams(device, shape.n, static_cast<int64_t>(shape.height) * shape.width,
                 FindRegion<T>{shape, rule, maps, upsampled, regions, stats, bad,
                               static_cast<char*>(workspace)});
}

template void find_regions(Device, const RegionShape&, const RegionRule&, const float*, float*,
                           float*, float*, int*, void*);
template void find_regions(Device, const RegionShape&, const RegionRule&, const double*, double*,
                           double*, double*, int*, void*);

}  // namespace maap
