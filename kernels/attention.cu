#include "kernels/attention.hpp"

#include <type_traits>

#include "kernels/half.hpp"
#include "kernels/parallel.hpp"
#include "kernels/sigmoid.hpp"
#include "kernels/tiles.hpp"

namespace maap {
namespace {

// A tile is a strip of pixels with all their channels. On the CPU it is as wide as possible while
// its planes stay in a core's L2 cache between the two sweeps and its sums fit their share of the
// L1 cache. On the GPU it is 32 pixels: a block's warps share their channels, each thread keeps its
// values in registers between the two sweeps, and memory is read once.
constexpr int kCpuTile = 2048;
constexpr int64_t kTileBytes = 512 << 10;
// The number of planes read side by side. With one, the memory is idle between requests; eight can
// all fall into one set of the L1 cache (224x224 planes are whole pages apart). Measured forward on
// 16x96x55x55 and 4x64x224x224: 1 plane takes 1.4 and 1.3 times as long as 4.
constexpr int kPlanes = 4;

/// Divides the pixels of each image into strips of equal width.
struct Tiling {
  int per_image, width;
};

/// `planes` is the number of planes that a tile keeps in the cache, with `size` bytes per pixel.
Tiling cpu_tiling(const FeatureShape& s, int64_t planes, int64_t size) {
  int64_t widest = kTileBytes / (planes * size);
  widest = std::max<int64_t>(64, std::min<int64_t>(kCpuTile, widest));
  const int64_t for_cache = (s.pixels + widest - 1) / widest;
  const int64_t for_threads =
      (4 * omp_get_max_threads() + s.n - 1) / s.n;  // but not below 64 pixels
  const int64_t tiles = std::max(for_cache, std::min<int64_t>(for_threads, s.pixels / 64));
  const int width = static_cast<int>((s.pixels + tiles - 1) / tiles);
  return {(s.pixels + width - 1) / width, width};
}

Tiling gpu_tiling(const FeatureShape& s) {
  return {s.pixels, 1};
}

int64_t count(const FeatureShape& s, const Tiling& t) {
  return static_cast<int64_t>(s.n) * t.per_image;
}

int64_t work(const FeatureShape& s, const Tiling& t) {
  return static_cast<int64_t>(s.channels) * t.width;
}

/// Tile i: its image, its first pixel, its number of pixels.
template <int kTile>
struct Tile {
  int n, begin, size;
  MAAP_HD Tile(int i, const Tiling& t, int pixels) {
    n = i / t.per_image;
    begin = (i - n * t.per_image) * t.width;
    size = kTile == 1 || pixels - begin > t.width ? (kTile == 1 ? 1 : t.width) : pixels - begin;
  }
  /// The offset of the tile in an (n, channels, pixels) and in an (n, pixels) blob.
  MAAP_HD int64_t in_features(const FeatureShape& s) const {
    return static_cast<int64_t>(n) * s.channels * s.pixels + begin;
  }
  MAAP_HD int64_t in_map(const FeatureShape& s) const {
    return static_cast<int64_t>(n) * s.pixels + begin;
  }
};

/// sum[j] = sum over channels c of value(c * pixels + j), in the order of the channels.
template <int kAtOnce, typename T, typename F>
MAAP_HD inline void channel_sum(int channels, int64_t pixels, int size, T* sum, const F& value) {
  MAAP_SIMD for (int j = 0; j < size; ++j) sum[j] = T(0);
  int c = 0;
  for (; c + kAtOnce <= channels; c += kAtOnce) {
    MAAP_SIMD for (int j = 0; j < size; ++j) {
      T total = sum[j];
      for (int k = 0; k < kAtOnce; ++k) total += value((c + k) * pixels + j);
      sum[j] = total;
    }
  }
  for (; c < channels; ++c) {
    MAAP_SIMD for (int j = 0; j < size; ++j) sum[j] += value(c * pixels + j);
  }
}

template <typename T, int kTile>
struct AttentionMap {
  FeatureShape s;
  Tiling tiling;
  const T* f;  // [n, channels, pixels]
  T* a;        // [n, pixels]
  MAAP_HD void operator()(int i) const {
    const Tile<kTile> t(i, tiling, s.pixels);
    const T* const in = f + t.in_features(s);
    T sum[kTile];
    channel_sum<kPlanes>(s.channels, s.pixels, t.size, sum, [=](int64_t k) { return in[k]; });
    T* const out = a + t.in_map(s);
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T mean = sum[j] / T(s.channels);
      out[j] = sigmoid(mean) + (mean - mean);  // the second term is 0, or NaN if mean is not finite
    }
  }
};

template <typename T, int kTile>
struct Enhance {
  FeatureShape s;
  Tiling tiling;
  const T* f;   // [n, channels, pixels]
  T* enhanced;  // [n, channels, pixels]
  T* a;         // [n, pixels]
  bool past_cache;
  MAAP_HD void operator()(int i) const {
    const Tile<kTile> t(i, tiling, s.pixels);
    const T* const in = f + t.in_features(s);
    T* const out = enhanced + t.in_features(s);
    T factor[kTile];
    channel_sum<kPlanes>(s.channels, s.pixels, t.size, factor, [=](int64_t k) { return in[k]; });
    T* const attention = a + t.in_map(s);
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T value = sigmoid(factor[j] / T(s.channels));
      attention[j] = value;
      factor[j] = T(1) + value;
    }
    const T* const by = factor;
    for (int c = 0; c < s.channels; ++c) {
      const int64_t at = static_cast<int64_t>(c) * s.pixels;
      write_row(out + at, t.size, past_cache, [=](int j) { return by[j] * in[at + j]; });
    }
    if (past_cache) written_past_cache();
  }
};

template <typename T, int kTile>
struct EnhanceBackward {
  FeatureShape s;
  Tiling tiling;
  const T* gradient;    // [n, channels, pixels]
  const T* a_gradient;  // [n, pixels] or null
  const T* f;           // [n, channels, pixels]
  const T* a;           // [n, pixels]
  T* f_gradient;        // [n, channels, pixels]
  bool recover;
  bool past_cache;
  MAAP_HD void operator()(int i) const {
    const Tile<kTile> t(i, tiling, s.pixels);
    const T* const g = gradient + t.in_features(s);
    const T* const x = f + t.in_features(s);
    T* const out = f_gradient + t.in_features(s);
    T factor[kTile], shift[kTile];
    channel_sum<kPlanes / 2>(s.channels, s.pixels, t.size, shift,
                             [=](int64_t k) { return g[k] * x[k]; });
    const int64_t at_map = t.in_map(s);
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T value = a[at_map + j];
      factor[j] = T(1) + value;
      const T sum = recover ? shift[j] / factor[j] : shift[j];
      const T extra = a_gradient ? a_gradient[at_map + j] : T(0);
      shift[j] = value * (T(1) - value) / T(s.channels) * (sum + extra);
    }
    const T *const by = factor, *const plus = shift;
    for (int c = 0; c < s.channels; ++c) {
      const int64_t at = static_cast<int64_t>(c) * s.pixels;
      write_row(out + at, t.size, past_cache, [=](int j) { return by[j] * g[at + j] + plus[j]; });
    }
    if (past_cache) written_past_cache();
  }
};

// With the channels last, a pixel on the CPU and, if it has more channels than a tile, on the GPU.

template <typename T>
struct AttentionOfPixel {
  int channels;
  const T* f;  // [pixels, channels]
  T* a;        // [pixels]
  MAAP_HD void operator()(int i) const {
    const T* const in = f + static_cast<int64_t>(i) * channels;
    T sum = T(0);
    MAAP_SIMD_SUM(sum)
    for (int c = 0; c < channels; ++c) sum += in[c];
    const T mean = sum / T(channels);
    a[i] = sigmoid(mean) + (mean - mean);
  }
};

template <typename T>
struct EnhancePixel {
  using C = Computed<T>;
  int channels;
  const T* f;   // [pixels, channels]
  T* enhanced;  // as f
  C* a;         // [pixels]
  MAAP_HD void operator()(int i) const {
    const T* const in = f + static_cast<int64_t>(i) * channels;
    T* const out = enhanced + static_cast<int64_t>(i) * channels;
    C sum = C(0);
    MAAP_SIMD_SUM(sum)
    for (int c = 0; c < channels; ++c) sum += C(in[c]);
    const C value = sigmoid(sum / C(channels)), factor = C(1) + value;
    a[i] = value;
    MAAP_SIMD for (int c = 0; c < channels; ++c) out[c] = factor * in[c];
  }
};

template <typename T>
struct EnhancePixelBackward {
  using C = Computed<T>;
  int channels;
  const T* gradient;    // [pixels, channels]
  const C* a_gradient;  // [pixels] or null
  const T* f;           // [pixels, channels]
  const C* a;           // [pixels]
  T* f_gradient;        // [pixels, channels]
  bool recover;
  MAAP_HD void operator()(int i) const {
    const int64_t at = static_cast<int64_t>(i) * channels;
    const T* const g = gradient + at;
    const T* const in = f + at;
    T* const out = f_gradient + at;
    C total = C(0);
    MAAP_SIMD_SUM(total)
    for (int c = 0; c < channels; ++c) total += C(g[c]) * C(in[c]);
    const C value = a[i], factor = C(1) + value;
    const C sum = recover ? total / factor : total;
    const C extra = a_gradient ? a_gradient[i] : C(0);
    const C shift = value * (C(1) - value) / C(channels) * (sum + extra);
    MAAP_SIMD for (int c = 0; c < channels; ++c) out[c] = factor * g[c] + shift;
  }
};

// Measured on an H200 as the share of a copy's bandwidth, forward and backward, 64 images: 96 x 55
// x 55 81 and 89 %, 64 x 224 x 224 89 and 88 %, 64 x 112 x 112 92 and 88 %. 64 pixels and 4 groups:
// 75 and 72, 90 and 86, 92 and 83 %.
constexpr int kTeam = 256;  // threads: kGroups groups of channels, for kTeam / kGroups pixels
constexpr int kFewGroups = 8;
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
    const C attention = sigmoid(t.sum(part, team) / C(s.channels));
    if (t.inside && t.group == 0) a[t.in_map(s)] = attention;
    const C factor = C(1) + attention;
#pragma unroll
    for (int k = 0; k < kPer; ++k) {
      const int c = t.group + k * kGroups;
      if (t.inside && c < s.channels) {
        enhanced[at + c * t.step(s)] = factor * value[k];
      }
    }
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
    const int64_t at = t.in_features(s), at_map = t.in_map(s);
    C g[kPer], part = C(0);
#pragma unroll
    for (int k = 0; k < kPer; ++k) {
      const int c = t.group + k * kGroups;
      const bool has = t.inside && c < s.channels;
      g[k] = has ? C(gradient[at + c * t.step(s)]) : C(0);
      if (has) part += g[k] * C(f[at + c * t.step(s)]);
    }
    const C total = t.sum(part, team);
    if (!t.inside) return;
    const C value = a[at_map], factor = C(1) + value;
    const C sum = recover ? total / factor : total;
    const C extra = a_gradient ? a_gradient[at_map] : C(0);
    const C shift = value * (C(1) - value) / C(s.channels) * (sum + extra);
#pragma unroll
    for (int k = 0; k < kPer; ++k) {
      const int c = t.group + k * kGroups;
      if (c < s.channels) {
        f_gradient[at + c * t.step(s)] = factor * g[k] + shift;
      }
    }
  }
};

template <int kPer_, int kGroups_>
struct TileOf {
  static constexpr int kPer = kPer_, kGroups = kGroups_;
};

/// Calls f(TileOf<...>()) for the least channels per thread that suffice; false if none do.
template <bool kLast, typename F>
bool with_tile(int channels, const F& f) {
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
    return false;
  }
  return true;
}

template <typename T>
bool stream(const FeatureShape& s, const T* in, const T* out) {
  return in != out && static_cast<int64_t>(sizeof(T)) * s.n * s.channels * s.pixels >= kStreamBytes;
}

/// With the channels last, images follow each other like pixels.
FeatureShape one_image(const FeatureShape& s) {
  return {1, s.channels, s.n * s.pixels, true};
}

template <typename T>
void enhance_channels_last(Device device, const FeatureShape& s, const T* f, T* enhanced,
                           Computed<T>* a) {
  const EnhancePixel<T> pixel{s.channels, f, enhanced, a};
  const auto tiled = [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(device, s.pixels, s.channels, pixel, gpu_tiles<Tile::kGroups>(s),
                   EnhanceTile<T, Tile::kPer, Tile::kGroups, true>{s, f, enhanced, a});
  };
  if (with_tile<true>(s.channels, tiled)) return;
  parallel_for(device, s.pixels, s.channels, pixel, s.pixels, pixel);
}

template <typename T>
void enhance_backward_channels_last(Device device, const FeatureShape& s, const T* gradient,
                                    const Computed<T>* a_gradient, const T* f, bool recover,
                                    const Computed<T>* a, T* f_gradient) {
  const EnhancePixelBackward<T> pixel{s.channels, gradient, a_gradient, f, a, f_gradient, recover};
  const auto tiled = [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(device, s.pixels, s.channels, pixel, gpu_tiles<Tile::kGroups>(s),
                   EnhanceBackwardTile<T, Tile::kPer, Tile::kGroups, true>{
                       s, gradient, a_gradient, f, a, f_gradient, recover});
  };
  if (with_tile<true>(s.channels, tiled)) return;
  parallel_for(device, s.pixels, s.channels, pixel, s.pixels, pixel);
}

}  // namespace

template <typename T>
void attention_map(Device device, const FeatureShape& s, const T* f, T* a) {
  if (s.channels_last) {
    const FeatureShape all = one_image(s);
    parallel_tiles(device, all.pixels, s.channels, AttentionOfPixel<T>{s.channels, f, a},
                   gpu_tiles<kFewGroups>(all), AttentionMapOfTile<T, true>{all, f, a});
    return;
  }
  const Tiling cpu = cpu_tiling(s, s.channels, sizeof(T));
  parallel_tiles(device, count(s, cpu), work(s, cpu), AttentionMap<T, kCpuTile>{s, cpu, f, a},
                 gpu_tiles<kFewGroups>(s), AttentionMapOfTile<T, false>{s, f, a});
}

template <typename T>
void enhance(Device device, const FeatureShape& s, const T* f, T* enhanced, T* a) {
  if (s.channels_last) return enhance_channels_last(device, one_image(s), f, enhanced, a);
  const Tiling cpu = cpu_tiling(s, s.channels, sizeof(T)), gpu = gpu_tiling(s);
  const bool past_cache = stream(s, f, static_cast<const T*>(enhanced));
  const Enhance<T, kCpuTile> on_cpu{s, cpu, f, enhanced, a, past_cache};
  const auto tiled = [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(device, count(s, cpu), work(s, cpu), on_cpu, gpu_tiles<Tile::kGroups>(s),
                   EnhanceTile<T, Tile::kPer, Tile::kGroups, false>{s, f, enhanced, a});
  };
  if (with_tile<false>(s.channels, tiled)) return;
  parallel_for(device, count(s, cpu), work(s, cpu), on_cpu, count(s, gpu),
               Enhance<T, 1>{s, gpu, f, enhanced, a, false});
}

template <typename T>
void enhance_backward(Device device, const FeatureShape& s, const T* gradient, const T* a_gradient,
                      const T* f, bool recover, const T* a, T* f_gradient) {
  if (s.channels_last) {
    return enhance_backward_channels_last(device, one_image(s), gradient, a_gradient, f, recover, a,
                                          f_gradient);
  }
  const Tiling cpu = cpu_tiling(s, 2 * s.channels, sizeof(T)), gpu = gpu_tiling(s);
  const bool past_cache = stream(s, gradient, static_cast<const T*>(f_gradient));
  const EnhanceBackward<T, kCpuTile> on_cpu{s, cpu,        gradient, a_gradient, f,
                                            a, f_gradient, recover,  past_cache};
  const auto tiled = [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(device, count(s, cpu), work(s, cpu), on_cpu, gpu_tiles<Tile::kGroups>(s),
                   EnhanceBackwardTile<T, Tile::kPer, Tile::kGroups, false>{
                       s, gradient, a_gradient, f, a, f_gradient, recover});
  };
  if (with_tile<false>(s.channels, tiled)) return;
  parallel_for(
      device, count(s, cpu), work(s, cpu), on_cpu, count(s, gpu),
      EnhanceBackward<T, 1>{s, gpu, gradient, a_gradient, f, a, f_gradient, recover, false});
}

template <typename T>
void enhance_halves(const FeatureShape& s, const T* f, T* enhanced, float* a) {
  enhance_channels_last(Device::kGPU, one_image(s), f, enhanced, a);
}

template <typename T>
void enhance_halves_backward(const FeatureShape& s, const T* gradient, const float* a_gradient,
                             const T* f, bool recover, const float* a, T* f_gradient) {
  enhance_backward_channels_last(Device::kGPU, one_image(s), gradient, a_gradient, f, recover, a,
                                 f_gradient);
}

#define MAAP_INSTANTIATE_HALVES(T)                                                             \
  template void enhance_halves(const FeatureShape&, const T*, T*, float*);                     \
  template void enhance_halves_backward(const FeatureShape&, const T*, const float*, const T*, \
                                        bool, const float*, T*);
MAAP_INSTANTIATE_HALVES(Float16)
MAAP_INSTANTIATE_HALVES(Bfloat16)
#undef MAAP_INSTANTIATE_HALVES

#define MAAP_INSTANTIATE(T)                                                                       \
  template void attention_map(Device, const FeatureShape&, const T*, T*);                         \
  template void enhance(Device, const FeatureShape&, const T*, T*, T*);                           \
  template void enhance_backward(Device, const FeatureShape&, const T*, const T*, const T*, bool, \
                                 const T*, T*);
MAAP_INSTANTIATE(float)
MAAP_INSTANTIATE(double)
#undef MAAP_INSTANTIATE

}  // namespace maap
