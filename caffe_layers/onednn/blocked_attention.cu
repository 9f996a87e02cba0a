#include "caffe_layers/onednn/blocked_attention.hpp"

#include "kernels/parallel.hpp"
#include "kernels/sigmoid.hpp"

namespace maap {

namespace {

// A tile is this many pixels with all their channels. The sums of one block of channels stay in the
// L1 cache, and the tile stays in a core's L2 cache between its two sweeps.
constexpr int kTile = 64;

/// Divides each image into tiles.
struct Tiles {
  FeatureShape s;
  MAAP_HD int per_image() const { return (s.pixels + kTile - 1) / kTile; }
  int count() const { return s.n * per_image(); }
};

/// A tile, with kBlock values per pixel and block of channels.
template <int kBlock>
struct Tile {
  int64_t features, map, step;  // offsets in F and in A; distance of two blocks
  int pixels, blocks;
  MAAP_HD Tile(const FeatureShape& s, int i) {
    const int per_image = Tiles{s}.per_image(), n = i / per_image;
    const int begin = (i - n * per_image) * kTile;
    step = static_cast<int64_t>(s.pixels) * kBlock;
    blocks = s.channels / kBlock;
    features = n * blocks * step + static_cast<int64_t>(begin) * kBlock;
    map = static_cast<int64_t>(n) * s.pixels + begin;
    pixels = s.pixels - begin < kTile ? s.pixels - begin : kTile;
  }
};

/// sum[j] = sum over the channels of value(k), where k is the position of pixel j's channel in the
/// tile.
template <int kBlock, typename F>
MAAP_HD void sum_channels(const Tile<kBlock>& t, float* sum, const F& value) {
  float lanes[kTile * kBlock];
  const int size = t.pixels * kBlock;
  MAAP_SIMD for (int k = 0; k < size; ++k) lanes[k] = value(k);
  for (int b = 1; b < t.blocks; ++b) {
    const int64_t at = b * t.step;
    MAAP_SIMD for (int k = 0; k < size; ++k) lanes[k] += value(at + k);
  }
  for (int j = 0; j < t.pixels; ++j) {
    float total = 0;
    MAAP_SIMD_SUM(total)
    for (int k = 0; k < kBlock; ++k) total += lanes[j * kBlock + k];
    sum[j] = total;
  }
}

/// out[k] = value(j, k) for the whole tile. Whole cache lines may go past the caches.
template <int kBlock, typename F>
MAAP_HD void write_tile(const Tile<kBlock>& t, float* out, bool past_cache, const F& value) {
  past_cache = past_cache && kBlock * sizeof(float) >= 64;
  for (int b = 0; b < t.blocks; ++b) {
    for (int j = 0; j < t.pixels; ++j) {
      const int64_t at = b * t.step + j * kBlock;
      write_row(out + at, kBlock, past_cache, [=](int k) { return value(j, at + k); });
    }
  }
  if (past_cache) written_past_cache();
}

template <int kBlock>
struct Enhance {
  FeatureShape s;
  const float* f;   // [n, channels / kBlock, pixels, kBlock]
  float* enhanced;  // the same
  float* a;         // [n, pixels]
  bool past_cache;
  MAAP_HD void operator()(int i) const {
    const Tile<kBlock> t(s, i);
    const float* const in = f + t.features;
    float* const attention = a + t.map;
    float factor[kTile];
    sum_channels(t, factor, [=](int64_t k) { return in[k]; });
    MAAP_SIMD for (int j = 0; j < t.pixels; ++j) {
      attention[j] = sigmoid(factor[j] / static_cast<float>(s.channels));
      factor[j] = 1.f + attention[j];
    }
    const float* const by = factor;
    write_tile(t, enhanced + t.features, past_cache,
               [=](int j, int64_t k) { return by[j] * in[k]; });
  }
};

template <int kBlock>
struct EnhanceBackward {
  FeatureShape s;
  const float* gradient;    // [n, channels / kBlock, pixels, kBlock]
  const float* a_gradient;  // [n, pixels] or null
  const float* f;           // as gradient
  const float* a;           // [n, pixels]
  float* f_gradient;        // as gradient
  bool recover;
  bool past_cache;
  MAAP_HD void operator()(int i) const {
    const Tile<kBlock> t(s, i);
    const float *const g = gradient + t.features, *const x = f + t.features;
    float factor[kTile], shift[kTile];
    sum_channels(t, shift, [=](int64_t k) { return g[k] * x[k]; });
    MAAP_SIMD for (int j = 0; j < t.pixels; ++j) {
      const float value = a[t.map + j];
      factor[j] = 1.f + value;
      const float sum = recover ? shift[j] / factor[j] : shift[j];
      const float extra = a_gradient != nullptr ? a_gradient[t.map + j] : 0.f;
      shift[j] = value * (1.f - value) / static_cast<float>(s.channels) * (sum + extra);
    }
    const float *const by = factor, *const plus = shift;
    write_tile(t, f_gradient + t.features, past_cache,
               [=](int j, int64_t k) { return by[j] * g[k] + plus[j]; });
  }
};

bool stream(const FeatureShape& s, const float* in, const float* out) {
  return in != out &&
         static_cast<int64_t>(sizeof(float)) * s.n * s.channels * s.pixels >= kStreamBytes;
}

template <typename F>
void run(const F& f) {
  internal::cpu_for(Tiles{f.s}.count(), static_cast<int64_t>(kTile) * f.s.channels, f);
}

}  // namespace

void enhance_blocked(const FeatureShape& s, int block, const float* f, float* enhanced, float* a) {
  const bool past_cache = stream(s, f, enhanced);
  if (block == 16) {
    run(Enhance<16>{s, f, enhanced, a, past_cache});
  } else {
    run(Enhance<8>{s, f, enhanced, a, past_cache});
  }
}

void enhance_blocked_backward(const FeatureShape& s, int block, const float* gradient,
                              const float* a_gradient, const float* f, bool recover, const float* a,
                              float* f_gradient) {
  const bool past_cache = stream(s, gradient, f_gradient);
  if (block == 16) {
    run(EnhanceBackward<16>{s, gradient, a_gradient, f, a, f_gradient, recover, past_cache});
  } else {
    run(EnhanceBackward<8>{s, gradient, a_gradient, f, a, f_gradient, recover, past_cache});
  }
}

}  // namespace maap
