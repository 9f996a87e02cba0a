#include "kernels/attention.hpp"

#include "kernels/attention_tiles.hpp"
#include "kernels/half.hpp"
#include "kernels/parallel.hpp"
#include "kernels/sigmoid.hpp"
#include "kernels/tiles.hpp"

namespace maap {
namespace {

using namespace tiles;

// A tile is a strip of pixels with all their channels. On the CPU it is as wide as possible while
// its planes stay in a core's L2 cache between the two sweeps and its sums fit their share of the
// L1 cache. attention_tiles.hpp has the GPU's.
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

int64_t count(const FeatureShape& s, const Tiling& t) {
  return static_cast<int64_t>(s.n) * t.per_image;
}

int64_t work(const FeatureShape& s, const Tiling& t) {
  return static_cast<int64_t>(s.channels) * t.width;
}

/// Tile i: its image, its first pixel, its number of pixels.
struct Tile {
  int n, begin, size;
  MAAP_HD Tile(int i, const Tiling& t, int pixels) {
    n = i / t.per_image;
    begin = (i - n * t.per_image) * t.width;
    size = pixels - begin > t.width ? t.width : pixels - begin;
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

template <typename T>
struct AttentionMap {
  FeatureShape s;
  Tiling tiling;
  const T* f;  // [n, channels, pixels]
  T* a;        // [n, pixels]
  MAAP_HD void operator()(int i) const {
    const Tile t(i, tiling, s.pixels);
    const T* const in = f + t.in_features(s);
    T sum[kCpuTile];
    channel_sum<kPlanes>(s.channels, s.pixels, t.size, sum, [=](int64_t k) { return in[k]; });
    T* const out = a + t.in_map(s);
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T mean = sum[j] / T(s.channels);
      out[j] = sigmoid(mean) + (mean - mean);  // the second term is 0, or NaN if mean is not finite
    }
  }
};

template <typename T>
struct Enhance {
  FeatureShape s;
  Tiling tiling;
  const T* f;   // [n, channels, pixels]
  T* enhanced;  // [n, channels, pixels]
  T* a;         // [n, pixels]
  bool past_cache;
  MAAP_HD void operator()(int i) const {
    const Tile t(i, tiling, s.pixels);
    const T* const in = f + t.in_features(s);
    T* const out = enhanced + t.in_features(s);
    T factor[kCpuTile];
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

template <typename T>
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
    const Tile t(i, tiling, s.pixels);
    const T* const g = gradient + t.in_features(s);
    const T* const x = f + t.in_features(s);
    T* const out = f_gradient + t.in_features(s);
    T factor[kCpuTile], shift[kCpuTile];
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

// With the channels last, a pixel on the CPU.

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
  with_tile<true>(s.channels, [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(device, s.pixels, s.channels, pixel, gpu_tiles<Tile::kGroups>(s),
                   EnhanceIn<T, Tile, true>{s, f, enhanced, a});
  });
}

template <typename T>
void enhance_backward_channels_last(Device device, const FeatureShape& s, const T* gradient,
                                    const Computed<T>* a_gradient, const T* f, bool recover,
                                    const Computed<T>* a, T* f_gradient) {
  const EnhancePixelBackward<T> pixel{s.channels, gradient, a_gradient, f, a, f_gradient, recover};
  with_tile<true>(s.channels, [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(
        device, s.pixels, s.channels, pixel, gpu_tiles<Tile::kGroups>(s),
        EnhanceBackwardIn<T, Tile, true>{s, gradient, a_gradient, f, a, f_gradient, recover});
  });
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
  parallel_tiles(device, count(s, cpu), work(s, cpu), AttentionMap<T>{s, cpu, f, a},
                 gpu_tiles<kFewGroups>(s), AttentionMapOfTile<T, false>{s, f, a});
}

template <typename T>
void enhance(Device device, const FeatureShape& s, const T* f, T* enhanced, T* a) {
  if (s.channels_last) return enhance_channels_last(device, one_image(s), f, enhanced, a);
  const Tiling cpu = cpu_tiling(s, s.channels, sizeof(T));
  const bool past_cache = stream(s, f, static_cast<const T*>(enhanced));
  const Enhance<T> on_cpu{s, cpu, f, enhanced, a, past_cache};
  with_tile<false>(s.channels, [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(device, count(s, cpu), work(s, cpu), on_cpu, gpu_tiles<Tile::kGroups>(s),
                   EnhanceIn<T, Tile, false>{s, f, enhanced, a});
  });
}

template <typename T>
void enhance_backward(Device device, const FeatureShape& s, const T* gradient, const T* a_gradient,
                      const T* f, bool recover, const T* a, T* f_gradient) {
  if (s.channels_last) {
    return enhance_backward_channels_last(device, one_image(s), gradient, a_gradient, f, recover, a,
                                          f_gradient);
  }
  const Tiling cpu = cpu_tiling(s, 2 * s.channels, sizeof(T));
  const bool past_cache = stream(s, gradient, static_cast<const T*>(f_gradient));
  const EnhanceBackward<T> on_cpu{s, cpu,        gradient, a_gradient, f,
                                  a, f_gradient, recover,  past_cache};
  with_tile<false>(s.channels, [&](auto tile) {
    using Tile = decltype(tile);
    parallel_tiles(
        device, count(s, cpu), work(s, cpu), on_cpu, gpu_tiles<Tile::kGroups>(s),
        EnhanceBackwardIn<T, Tile, false>{s, gradient, a_gradient, f, a, f_gradient, recover});
  });
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
