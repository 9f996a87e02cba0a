#include "caffe_layers/attention.hpp"

#include "caffe_layers/sigmoid.hpp"

namespace maap {
namespace {

// Pixels a CPU tile has. 512 floats of 96 channels are 192 KiB: within a core's L2 cache, and each
// plane's share (2 KiB) is long enough for the hardware to prefetch. On the GPU a tile is one
// pixel: neighbouring threads read neighbouring pixels.
constexpr int kCpuTile = 512;

/// Where piece i of the work lies: image, first pixel, pixels.
template <int kTile>
struct Tile {
  int n, begin, size;
  MAAP_HD Tile(int i, int pixels) {
    const int per_image = (pixels + kTile - 1) / kTile;
    n = i / per_image;
    begin = (i - n * per_image) * kTile;
    size = kTile == 1 || pixels - begin > kTile ? kTile : pixels - begin;
  }
};

int64_t tile_work(const FeatureShape& s) {
  return static_cast<int64_t>(s.channels) * (s.pixels < kCpuTile ? s.pixels : kCpuTile);
}

template <int kTile>
int64_t tiles(const FeatureShape& s) {
  return static_cast<int64_t>(s.n) * ((s.pixels + kTile - 1) / kTile);
}

/// sum[j] = sum over channels of f[c][j]
template <typename T>
MAAP_HD inline void channel_sum(const T* f, int channels, int pixels, int size, T* sum) {
  MAAP_SIMD for (int j = 0; j < size; ++j) sum[j] = f[j];
  for (int c = 1; c < channels; ++c) {
    const T* plane = f + static_cast<int64_t>(c) * pixels;
    MAAP_SIMD for (int j = 0; j < size; ++j) sum[j] += plane[j];
  }
}

template <typename T, int kTile>
struct AttentionMap {
  FeatureShape s;
  const T* f;  // [n, channels, pixels]
  T* a;        // [n, pixels]
  MAAP_HD void operator()(int i) const {
    const Tile<kTile> t(i, s.pixels);
    T sum[kTile];
    channel_sum(f + static_cast<int64_t>(t.n) * s.channels * s.pixels + t.begin, s.channels,
                s.pixels, t.size, sum);
    T* out = a + static_cast<int64_t>(t.n) * s.pixels + t.begin;
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T mean = sum[j] / T(s.channels);
      out[j] =
          sigmoid(mean) + (mean - mean);  // the second term is 0, or NaN when mean is not finite
    }
  }
};

template <typename T, int kTile>
struct Enhance {
  FeatureShape s;
  const T* f;   // [n, channels, pixels]
  T* enhanced;  // [n, channels, pixels]
  T* a;         // [n, pixels]
  MAAP_HD void operator()(int i) const {
    const Tile<kTile> t(i, s.pixels);
    const int64_t first = static_cast<int64_t>(t.n) * s.channels * s.pixels + t.begin;
    T factor[kTile];
    channel_sum(f + first, s.channels, s.pixels, t.size, factor);
    T* attention = a + static_cast<int64_t>(t.n) * s.pixels + t.begin;
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T value = sigmoid(factor[j] / T(s.channels));
      attention[j] = value;
      factor[j] = T(1) + value;
    }
    for (int c = 0; c < s.channels; ++c) {
      const T* in = f + first + static_cast<int64_t>(c) * s.pixels;
      T* out = enhanced + first + static_cast<int64_t>(c) * s.pixels;
      MAAP_SIMD for (int j = 0; j < t.size; ++j) out[j] = factor[j] * in[j];
    }
  }
};

template <typename T, int kTile>
struct EnhanceBackward {
  FeatureShape s;
  const T* gradient;    // [n, channels, pixels]
  const T* a_gradient;  // [n, pixels] or null
  const T* f;           // [n, channels, pixels]
  const T* a;           // [n, pixels]
  T* f_gradient;        // [n, channels, pixels]
  bool recover;
  MAAP_HD void operator()(int i) const {
    const Tile<kTile> t(i, s.pixels);
    const int64_t first = static_cast<int64_t>(t.n) * s.channels * s.pixels + t.begin;
    const int64_t at = static_cast<int64_t>(t.n) * s.pixels + t.begin;
    T factor[kTile], shift[kTile];
    MAAP_SIMD for (int j = 0; j < t.size; ++j) shift[j] = T(0);
    for (int c = 0; c < s.channels; ++c) {
      const T* g = gradient + first + static_cast<int64_t>(c) * s.pixels;
      const T* x = f + first + static_cast<int64_t>(c) * s.pixels;
      MAAP_SIMD for (int j = 0; j < t.size; ++j) shift[j] += g[j] * x[j];
    }
    MAAP_SIMD for (int j = 0; j < t.size; ++j) {
      const T value = a[at + j];
      factor[j] = T(1) + value;
      const T sum = recover ? shift[j] / factor[j] : shift[j];
      const T extra = a_gradient ? a_gradient[at + j] : T(0);
      shift[j] = value * (T(1) - value) / T(s.channels) * (sum + extra);
    }
    for (int c = 0; c < s.channels; ++c) {
      const T* g = gradient + first + static_cast<int64_t>(c) * s.pixels;
      T* out = f_gradient + first + static_cast<int64_t>(c) * s.pixels;
      MAAP_SIMD for (int j = 0; j < t.size; ++j) out[j] = factor[j] * g[j] + shift[j];
    }
  }
};

}  // namespace

template <typename T>
void attention_map(Device device, const FeatureShape& s, const T* f, T* a) {
  parallel_for(device, tiles<kCpuTile>(s), tile_work(s), AttentionMap<T, kCpuTile>{s, f, a},
               tiles<1>(s), AttentionMap<T, 1>{s, f, a});
}

template <typename T>
void enhance(Device device, const FeatureShape& s, const T* f, T* enhanced, T* a) {
  parallel_for(device, tiles<kCpuTile>(s), tile_work(s), Enhance<T, kCpuTile>{s, f, enhanced, a},
               tiles<1>(s), Enhance<T, 1>{s, f, enhanced, a});
}

template <typename T>
void enhance_backward(Device device, const FeatureShape& s, const T* gradient, const T* a_gradient,
                      const T* f, bool recover, const T* a, T* f_gradient) {
  parallel_for(device, tiles<kCpuTile>(s), tile_work(s),
               EnhanceBackward<T, kCpuTile>{s, gradient, a_gradient, f, a, f_gradient, recover},
               tiles<1>(s),
               EnhanceBackward<T, 1>{s, gradient, a_gradient, f, a, f_gradient, recover});
}

#define MAAP_INSTANTIATE(T)                                                                       \
  template void attention_map(Device, const FeatureShape&, const T*, T*);                         \
  template void enhance(Device, const FeatureShape&, const T*, T*, T*);                           \
  template void enhance_backward(Device, const FeatureShape&, const T*, const T*, const T*, bool, \
                                 const T*, T*);
MAAP_INSTANTIATE(float)
MAAP_INSTANTIATE(double)
#undef MAAP_INSTANTIATE

}  // namespace maap
