#ifndef KERNELS_ATTENTION_TILES_HPP_
#define KERNELS_ATTENTION_TILES_HPP_

// The Enhancement layer's work on a GPU: a block of threads for a tile of pixels with all their
// channels. Its warps share the channels; each thread keeps its values in registers between the two
// sweeps, and memory is read once, unless there are too many channels for that.

#include <type_traits>

#include "kernels/attention.hpp"
#include "kernels/half.hpp"
#include "kernels/parallel.hpp"
#include "kernels/sigmoid.hpp"
#include "kernels/tiles.hpp"

namespace maap {
namespace tiles {

// Measured on an H200 as the share of a copy's bandwidth, forward and backward, 64 images: 96 x 55
// x 55 81 and 89 %, 64 x 224 x 224 89 and 88 %, 64 x 112 x 112 92 and 88 %. 64 pixels and 4 groups:
// 75 and 72, 90 and 86, 92 and 83 %. Since then the backward pass, and the forward pass of more
// than 64 channels, keep no addresses between reading and writing: with 96 channels they need 48
// registers forward and 40 backward instead of 53 and 48, so that 5 and 6 blocks fit where 4 and 5
// did. That was not measured. bench/enhance_tiles.cu has more ways.
constexpr int kTeam = 256;  // threads: kGroups groups of channels, for kTeam / kGroups pixels
constexpr int kFewGroups = 8;
constexpr int kSomeGroups = 16;
constexpr int kManyGroups = 32;  // with the channels last, where they may share a row of memory
constexpr int kMostPerThread = 32;

/// A thread of a team that works on a tile: its pixel and the first of its channels, which are
/// kGroups apart. Neighbouring threads have neighbouring values.
template <int kGroups, bool kLast>
struct GpuTile {
  static constexpr int kSize = kTeam / kGroups;  // pixels
  int n, pixel, lane, group;
  bool inside;
  template <typename Team>
  MAAP_HD GpuTile(const FeatureShape& s, int i, const Team& team) {
    const int per_image = (s.pixels + kSize - 1) / kSize;
    n = i / per_image;
    lane = kLast ? team.rank() / kGroups : team.rank() % kSize;
    group = kLast ? team.rank() % kGroups : team.rank() / kSize;
    pixel = (i - n * per_image) * kSize + lane;
    inside = pixel < s.pixels;
  }
  /// The pixel's channel 0, and the distance to the next channel.
  MAAP_HD int64_t in_features(const FeatureShape& s) const {
    return kLast ? in_map(s) * s.channels : static_cast<int64_t>(n) * s.channels * s.pixels + pixel;
  }
  static MAAP_HD int64_t step(const FeatureShape& s) { return kLast ? 1 : s.pixels; }
  /// The pixel's first channel of this thread, and the distance to the thread's next one.
  MAAP_HD int64_t first(const FeatureShape& s) const { return in_features(s) + group * step(s); }
  static MAAP_HD int stride(const FeatureShape& s) { return kLast ? kGroups : kGroups * s.pixels; }
  MAAP_HD int64_t in_map(const FeatureShape& s) const {
    return static_cast<int64_t>(n) * s.pixels + pixel;
  }
  /// The sum of the groups' parts, in the order of the groups.
  template <typename T, typename Team>
  MAAP_HD T sum(T part, const Team& team) const {
    T* const parts = static_cast<T*>(team.scratch());
    parts[place(group)] = part;
    team.sync();
    T total = T(0);
    for (int g = 0; g < kGroups; ++g) total += parts[place(g)];
    return total;
  }

  /// Writes A from the groups' parts of the sum over channels, and returns 1 + A.
  template <typename T, typename Team>
  MAAP_HD T write_map(const FeatureShape& s, T part, const Team& team, T* a) const {
    const T attention = sigmoid(sum(part, team) / T(s.channels));
    if (inside && group == 0) a[in_map(s)] = attention;
    return T(1) + attention;
  }

 private:
  MAAP_HD int place(int g) const { return kLast ? lane * kGroups + g : g * kSize + lane; }
};

template <int kGroups>
int gpu_tiles(const FeatureShape& s) {
  constexpr int kSize = kTeam / kGroups;
  return s.n * ((s.pixels + kSize - 1) / kSize);
}

template <typename T, bool kLast>
struct AttentionMapOfTile {
  FeatureShape s;
  const T* f;
  T* a;
  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const GpuTile<kFewGroups, kLast> t(s, i, team);
    const T* const in = f + t.in_features(s);
    T part = T(0);
    if (t.inside) {
#pragma unroll 8
      for (int c = t.group; c < s.channels; c += kFewGroups) part += in[c * t.step(s)];
    }
    const T mean = t.sum(part, team) / T(s.channels);
    if (t.inside && t.group == 0) a[t.in_map(s)] = sigmoid(mean) + (mean - mean);
  }
};

/// For up to kGroups kPer channels.
template <typename T, int kPer, int kGroups, bool kLast>
struct EnhanceTile {
  using C = Computed<T>;
  FeatureShape s;
  const T* f;
  T* enhanced;
  C* a;
  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const GpuTile<kGroups, kLast> t(s, i, team);
    const int64_t at = t.in_features(s);
    C value[kPer], part = C(0);
#pragma unroll
    for (int k = 0; k < kPer; ++k) {
      const int c = t.group + k * kGroups;
      const bool has = t.inside && c < s.channels;
      value[k] = has ? C(f[at + c * t.step(s)]) : C(0);
    }
#pragma unroll
    for (int k = 0; k < kPer; ++k) part += value[k];
    const C factor = t.write_map(s, part, team, a);
#pragma unroll
    for (int k = 0; k < kPer; ++k) {
      const int c = t.group + k * kGroups;
      if (t.inside && c < s.channels) enhanced[at + c * t.step(s)] = factor * value[k];
    }
  }
};

/// The same with each address computed from the one before, which needs fewer registers if there
/// are many channels, and more if there are few.
template <typename T, int kPer, int kGroups, bool kLast>
struct EnhanceSteppedTile {
  using C = Computed<T>;
  FeatureShape s;
  const T* f;
  T* enhanced;
  C* a;
  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const GpuTile<kGroups, kLast> t(s, i, team);
    const int channels = t.inside ? s.channels - t.group : 0;
    const T* from = f + t.first(s);
    C value[kPer], part = C(0);
#pragma unroll
    for (int k = 0; k < kPer; ++k, from += t.stride(s)) {
      value[k] = k * kGroups < channels ? C(*from) : C(0);
    }
#pragma unroll
    for (int k = 0; k < kPer; ++k) part += value[k];
    const C factor = t.write_map(s, part, team, a);
    const int stride = anew(t.stride(s));
    T* to = enhanced + t.first(s);
#pragma unroll
    for (int k = 0; k < kPer; ++k, to += stride) {
      if (k * kGroups < channels) *to = factor * value[k];
    }
  }
};

/// f's gradient is factor times the given one plus shift.
template <typename C>
struct Line {
  C factor, shift;
  MAAP_HD Line(const FeatureShape& s, C a, C total, C extra, bool recover) : factor(C(1) + a) {
    const C sum = recover ? total / factor : total;
    shift = a * (C(1) - a) / C(s.channels) * (sum + extra);
  }
};

template <typename T, int kPer, int kGroups, bool kLast>
struct EnhanceBackwardTile {
  using C = Computed<T>;
  FeatureShape s;
  const T* gradient;
  const C* a_gradient;
  const T* f;
  const C* a;
  T* f_gradient;
  bool recover;
  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const GpuTile<kGroups, kLast> t(s, i, team);
    const int channels = t.inside ? s.channels - t.group : 0;
    const T *from = gradient + t.first(s), *with = f + t.first(s);
    C g[kPer], part = C(0);
#pragma unroll
    for (int k = 0; k < kPer; ++k, from += t.stride(s), with += t.stride(s)) {
      const bool has = k * kGroups < channels;
      g[k] = has ? C(*from) : C(0);
      if (has) part += g[k] * C(*with);
    }
    const C total = t.sum(part, team);
    if (!t.inside) return;
    const int64_t at = t.in_map(s);
    const Line<C> line(s, a[at], total, a_gradient ? a_gradient[at] : C(0), recover);
    const int stride = anew(t.stride(s));
    T* to = f_gradient + t.first(s);
#pragma unroll
    for (int k = 0; k < kPer; ++k, to += stride) {
      if (k * kGroups < channels) *to = line.factor * g[k] + line.shift;
    }
  }
};

/// Values of one pixel in channels that are kGroups apart, up to `end`: all are read before one is
/// written, since the compiler cannot know that they are not the same memory.
constexpr int kBatch = 8;
template <typename T, int kGroups>
struct Batch {
  using C = Computed<T>;
  int first, end;
  int64_t step;
  C value[kBatch];
  MAAP_HD Batch(const T* from, int begin, int behind, int64_t distance)
      : first(begin), end(behind), step(distance) {
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int c = first + k * kGroups;
      value[k] = c < end ? C(from[c * step]) : C(0);
    }
  }
  template <typename F>
  MAAP_HD void store(T* to, const F& result) const {
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int c = first + k * kGroups;
      if (c < end) to[c * step] = result(value[k]);
    }
  }
};

/// For any number of channels, which are read twice, mostly from the cache (not measured).
template <typename T, int kGroups, bool kLast>
struct EnhanceAnyTile {
  using C = Computed<T>;
  FeatureShape s;
  const T* f;
  T* enhanced;
  C* a;
  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const GpuTile<kGroups, kLast> t(s, i, team);
    const int64_t at = t.in_features(s);
    const int end = t.inside ? s.channels : 0;
    C part = C(0);
#pragma unroll 8
    for (int c = t.group; c < end; c += kGroups) part += C(f[at + c * t.step(s)]);
    const C factor = t.write_map(s, part, team, a);
    for (int first = t.group; first < end; first += kBatch * kGroups) {
      const Batch<T, kGroups> batch(f + at, first, end, t.step(s));
      batch.store(enhanced + at, [=](C value) { return factor * value; });
    }
  }
};

template <typename T, int kGroups, bool kLast>
struct EnhanceBackwardAnyTile {
  using C = Computed<T>;
  FeatureShape s;
  const T* gradient;
  const C* a_gradient;
  const T* f;
  const C* a;
  T* f_gradient;
  bool recover;
  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const GpuTile<kGroups, kLast> t(s, i, team);
    const int64_t at = t.in_features(s), at_map = t.in_map(s);
    const int end = t.inside ? s.channels : 0;
    C part = C(0);
#pragma unroll 4
    for (int c = t.group; c < end; c += kGroups) {
      const int64_t place = at + c * t.step(s);
      part += C(gradient[place]) * C(f[place]);
    }
    const C total = t.sum(part, team);
    if (!t.inside) return;
    const Line<C> line(s, a[at_map], total, a_gradient ? a_gradient[at_map] : C(0), recover);
    for (int first = t.group; first < end; first += kBatch * kGroups) {
      const Batch<T, kGroups> batch(gradient + at, first, end, t.step(s));
      batch.store(f_gradient + at, [=](C value) { return line.factor * value + line.shift; });
    }
  }
};

/// kPer channels at most for each thread; 0: any number.
template <int kPer_, int kGroups_>
struct TileOf {
  static constexpr int kPer = kPer_, kGroups = kGroups_;
};

template <typename T, typename Tile, bool kLast>
using EnhanceIn = std::conditional_t<
    Tile::kPer == 0, EnhanceAnyTile<T, Tile::kGroups, kLast>,
    std::conditional_t<Tile::kPer <= 8, EnhanceTile<T, Tile::kPer, Tile::kGroups, kLast>,
                       EnhanceSteppedTile<T, Tile::kPer, Tile::kGroups, kLast>>>;
template <typename T, typename Tile, bool kLast>
using EnhanceBackwardIn =
    std::conditional_t<Tile::kPer == 0, EnhanceBackwardAnyTile<T, Tile::kGroups, kLast>,
                       EnhanceBackwardTile<T, Tile::kPer, Tile::kGroups, kLast>>;

/// Calls f(TileOf<...>()) for the least channels per thread that suffice.
template <bool kLast, typename F>
void with_tile(int channels, const F& f) {
  const int needed = (channels + kFewGroups - 1) / kFewGroups;
  if (needed <= 4) {
    f(TileOf<4, kFewGroups>());
  } else if (needed <= 8) {
    f(TileOf<8, kFewGroups>());
  } else if (needed <= 12) {
    f(TileOf<12, kFewGroups>());
  } else if (needed <= 16) {
    f(TileOf<16, kFewGroups>());
  } else if (needed <= kMostPerThread) {
    f(TileOf<kMostPerThread, kFewGroups>());
  } else if (kLast && channels <= kManyGroups * kMostPerThread) {
    f(TileOf < kMostPerThread, kLast ? kManyGroups : kFewGroups > ());
  } else {
    f(TileOf < 0, kLast ? kManyGroups : kSomeGroups > ());
  }
}

}  // namespace tiles
}  // namespace maap

#endif  // KERNELS_ATTENTION_TILES_HPP_
