#ifndef CAFFE_UTIL_WINOGRAD_BODY_HPP_
#define CAFFE_UTIL_WINOGRAD_BODY_HPP_

// The bodies of winograd_kernels.hpp. The including file defines, before it includes this one,
// CAFFE_WINOGRAD_BLOCK, _TILES, _ROWS and _COLUMNS, and is compiled with the instructions that it
// is for.
//
// A tile is interpolated at the points 0, a, -a, b, -b and infinity with a = 5/8 and b = 3/2, whose
// rounding errors are a third of those of 1 and 2.

#include "caffe/util/winograd_kernels.hpp"

namespace caffe {
namespace winograd {
namespace {

constexpr int kBlock = CAFFE_WINOGRAD_BLOCK;
constexpr int kTiles = CAFFE_WINOGRAD_TILES;
constexpr int kRows = CAFFE_WINOGRAD_ROWS;
constexpr int kColumns = CAFFE_WINOGRAD_COLUMNS;
constexpr int kVectors = 2;

typedef float Vec __attribute__((vector_size(kBlock * sizeof(float)), may_alias));

inline Vec load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
inline void store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}
/// The same at any address.
typedef float AnyVec __attribute__((vector_size(kBlock * sizeof(float)), may_alias, aligned(4)));
inline Vec load_any(const float* p) {
  return *reinterpret_cast<const AnyVec*>(p);
}
inline void store_any(float* p, Vec v) {
  *reinterpret_cast<AnyVec*>(p) = v;
}
inline Vec zero() {
  return Vec{};
}

constexpr float kA = 0.625f, kB = 1.5f;
constexpr float kA2 = kA * kA, kB2 = kB * kB;
constexpr float kScale0 = static_cast<float>(1 / (.625 * .625 * 1.5 * 1.5));
constexpr float kScaleA = static_cast<float>(1 / (2 * .625 * .625 * (.625 * .625 - 1.5 * 1.5)));
constexpr float kScaleB = static_cast<float>(1 / (2 * 1.5 * 1.5 * (1.5 * 1.5 - .625 * .625)));

// ---- transforms of 6 values and of polynomials with N coefficients

/// B^T d
inline void interpolate(const Vec* d, Vec* to) {
  const Vec a_even = d[4] - kB2 * d[2], a_odd = d[3] - kB2 * d[1];
  const Vec b_even = d[4] - kA2 * d[2], b_odd = d[3] - kA2 * d[1];
  to[0] = (d[4] + (kA2 * kB2) * d[0]) - (kA2 + kB2) * d[2];
  to[1] = a_even + kA * a_odd;
  to[2] = a_even - kA * a_odd;
  to[3] = b_even + kB * b_odd;
  to[4] = b_even - kB * b_odd;
  to[5] = (d[5] + (kA2 * kB2) * d[1]) - (kA2 + kB2) * d[3];
}

/// The values of a polynomial at the six points: A for N = 4 and 2, G without its scale for N = 3
/// and 5.
template <int N>
inline void evaluate(const Vec* c, Vec* to) {
  Vec a_even = c[0], b_even = c[0], a_odd = kA * c[1], b_odd = kB * c[1];
  if (N > 2) a_even += kA2 * c[N > 2 ? 2 : 0], b_even += kB2 * c[N > 2 ? 2 : 0];
  if (N > 3) a_odd += (kA2 * kA) * c[N > 3 ? 3 : 0], b_odd += (kB2 * kB) * c[N > 3 ? 3 : 0];
  if (N > 4) a_even += (kA2 * kA2) * c[N > 4 ? 4 : 0], b_even += (kB2 * kB2) * c[N > 4 ? 4 : 0];
  to[0] = c[0];
  to[1] = a_even + a_odd;
  to[2] = a_even - a_odd;
  to[3] = b_even + b_odd;
  to[4] = b_even - b_odd;
  to[5] = c[N - 1];
}

/// The transpose of evaluate(): A^T for N = 4 and 2.
template <int N>
inline void combine(const Vec* v, Vec* to) {
  const Vec a_sum = v[1] + v[2], a_difference = v[1] - v[2];
  const Vec b_sum = v[3] + v[4], b_difference = v[3] - v[4];
  to[0] = v[0] + (a_sum + b_sum);
  to[1] = kA * a_difference + kB * b_difference;
  if (N > 2) to[N > 2 ? 2 : 0] = kA2 * a_sum + kB2 * b_sum;
  if (N > 3) to[N > 3 ? 3 : 0] = (kA2 * kA) * a_difference + (kB2 * kB) * b_difference;
  if (N > 4) to[N > 4 ? 4 : 0] = (kA2 * kA2) * a_sum + (kB2 * kB2) * b_sum;
  to[N - 1] += v[5];
}

inline void scale(Vec* v) {
  v[0] *= kScale0;
  v[1] *= kScaleA;
  v[2] *= kScaleA;
  v[3] *= kScaleB;
  v[4] *= kScaleB;
}

// ---- tiles

/// A tile's place: its first row and column, and its image.
struct Place {
  int row, column;
  size_t image;
};

/// Walks over the tiles from `first` on.
class Walk {
 public:
  Walk(const TileMap& map, int first)
      : map_(map),
        column_(first % map.across),
        row_(first / map.across % map.down),
        image_(first / map.across / map.down) {}
  Place place() const {
    return {row_ * map_.step - map_.pad_h, column_ * map_.step - map_.pad_w, image_ * map_.image};
  }
  void next() {
    if (++column_ < map_.across) return;
    column_ = 0;
    if (++row_ < map_.down) return;
    row_ = 0;
    ++image_;
  }

 private:
  const TileMap& map_;
  int column_, row_;
  size_t image_;
};

/// Whether size x size values at the place lie in the image.
inline bool inside(const TileMap& map, const Place& place, int size) {
  return place.row >= 0 && place.column >= 0 && place.row + size <= map.height &&
         place.column + size <= map.width;
}

/// A copy of the size x size values at the place, with zeros outside the image.
template <int kSize>
inline void copy_tile(const TileMap& map, const Place& place, const float* images, float* to) {
  for (int i = 0; i < kSize; ++i) {
    const int y = place.row + i;
    for (int j = 0; j < kSize; ++j) {
      const int x = place.column + j;
      const bool in = y >= 0 && y < map.height && x >= 0 && x < map.width;
      const float* const from =
          images + place.image + (static_cast<ptrdiff_t>(y) * map.width + x) * kBlock;
      store(to + (i * kSize + j) * kBlock, in ? load(from) : zero());
    }
  }
}

template <int kSize, typename Transform>
inline void read_tiles(const TileMap& map, const float* images, int first, int count, float* to,
                       Transform* transform) {
  Walk walk(map, first);
  for (int t = 0; t < count; ++t, walk.next(), to += kBlock) {
    const Place place = walk.place();
    if (inside(map, place, kSize)) {
      (*transform)(images + place.image +
                       (static_cast<size_t>(place.row) * map.width + place.column) * kBlock,
                   static_cast<size_t>(map.width) * kBlock, to);
    } else {
      alignas(64) float tile[kSize * kSize * kBlock];
      copy_tile<kSize>(map, place, images, tile);
      (*transform)(tile, static_cast<size_t>(kSize) * kBlock, to);
    }
  }
}

struct Interpolate {
  size_t plane;
  void operator()(const float* from, size_t row, float* to) const {
    Vec half[kSide][kSide];  // [column][row]
#pragma GCC unroll 6
    for (int x = 0; x < kSide; ++x) {
      Vec d[kSide];
#pragma GCC unroll 6
      for (int y = 0; y < kSide; ++y) d[y] = load(from + y * row + x * kBlock);
      interpolate(d, half[x]);
    }
#pragma GCC unroll 6
    for (int y = 0; y < kSide; ++y) {
      Vec d[kSide], v[kSide];
#pragma GCC unroll 6
      for (int x = 0; x < kSide; ++x) d[x] = half[x][y];
      interpolate(d, v);
#pragma GCC unroll 6
      for (int x = 0; x < kSide; ++x) store(to + (y * kSide + x) * plane, v[x]);
    }
  }
};

template <int kStep>
struct Evaluate {
  size_t plane;
  Vec sum;
  void operator()(const float* from, size_t row, float* to) {
    Vec half[kStep][kSide];
    Vec tile_sum = zero();
#pragma GCC unroll 6
    for (int x = 0; x < kStep; ++x) {
      Vec d[kStep];
#pragma GCC unroll 6
      for (int y = 0; y < kStep; ++y) {
        d[y] = load(from + y * row + x * kBlock);
        tile_sum += d[y];
      }
      evaluate<kStep>(d, half[x]);
    }
    sum += tile_sum;
#pragma GCC unroll 6
    for (int y = 0; y < kSide; ++y) {
      Vec d[kStep], v[kSide];
#pragma GCC unroll 6
      for (int x = 0; x < kStep; ++x) d[x] = half[x][y];
      evaluate<kStep>(d, v);
#pragma GCC unroll 6
      for (int x = 0; x < kSide; ++x) store(to + (y * kSide + x) * plane, v[x]);
    }
  }
};

void transform_input(const TileMap& map, const float* images, int first, int count, float* to,
                     size_t plane) {
  Interpolate transform{plane};
  read_tiles<kSide>(map, images, first, count, to, &transform);
}

template <int kStep>
void evaluate_tiles(const TileMap& map, const float* images, int first, int count, float* to,
                    size_t plane, float* sums) {
  Evaluate<kStep> transform{plane, zero()};
  read_tiles<kStep>(map, images, first, count, to, &transform);
  store(sums, transform.sum);
}

void transform_gradient(const TileMap& map, const float* images, int first, int count, float* to,
                        size_t plane, float* sums) {
  (map.step == 4 ? evaluate_tiles<4> : evaluate_tiles<2>)(map, images, first, count, to, plane,
                                                          sums);
}

/// to = A^T m A + bias, row by row.
template <int kStep>
inline void combine_tile(const float* from, size_t plane, Vec bias, bool relu, float* to,
                         size_t row) {
  Vec half[kStep][kSide];
#pragma GCC unroll 6
  for (int x = 0; x < kSide; ++x) {
    Vec m[kSide], y[kStep];
#pragma GCC unroll 6
    for (int i = 0; i < kSide; ++i) m[i] = load(from + (i * kSide + x) * plane);
    combine<kStep>(m, y);
#pragma GCC unroll 6
    for (int i = 0; i < kStep; ++i) half[i][x] = y[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < kStep; ++i) {
    Vec y[kStep];
    combine<kStep>(half[i], y);
#pragma GCC unroll 6
    for (int x = 0; x < kStep; ++x) {
      Vec value = y[x] + bias;
      if (relu) value = value < zero() ? zero() : value;  // a NaN stays
      store(to + i * row + x * kBlock, value);
    }
  }
}

template <int kStep>
inline void write_tiles(const TileMap& map, const float* from, size_t plane, int first, int count,
                        const float* bias, bool relu, float* images) {
  const Vec offset = bias == nullptr ? zero() : load(bias);
  Walk walk(map, first);
  for (int t = 0; t < count; ++t, walk.next(), from += kBlock) {
    const Place place = walk.place();
    float* const to =
        images + place.image + (static_cast<size_t>(place.row) * map.width + place.column) * kBlock;
    const size_t row = static_cast<size_t>(map.width) * kBlock;
    if (inside(map, place, kStep)) {
      combine_tile<kStep>(from, plane, offset, relu, to, row);
      continue;
    }
    alignas(64) float tile[kStep * kStep * kBlock];
    combine_tile<kStep>(from, plane, offset, relu, tile, kStep * kBlock);
    for (int i = 0; i < kStep && place.row + i < map.height; ++i) {
      for (int j = 0; j < kStep && place.column + j < map.width; ++j) {
        store(to + i * row + j * kBlock, load(tile + (i * kStep + j) * kBlock));
      }
    }
  }
}

void transform_output(const TileMap& map, const float* from, size_t plane, int first, int count,
                      const float* bias, bool relu, float* images) {
  (map.step == 4 ? write_tiles<4> : write_tiles<2>)(map, from, plane, first, count, bias, relu,
                                                    images);
}

// ---- products
//
// This kernel reaches the processor's rate. On one core (Zen 5), products of one point from
// 42x64x64 to 784x512x512 (tiles x channels x outputs) ran at 264 to 271 GFLOP/s with AVX-512 and
// 132 to 136 with AVX2; oneDNN's sgemm reached 208 to 268 and 112 to 134, OpenBLAS's 104 to 132 and
// 104 to 131. So a library's would do for large products; the small ones of layers with few
// channels, whose tiles stay in a core's cache, it slows down.

/// Sums of more channels or tiles are sums of partial sums: in a long chain of additions a float
/// loses digits.
constexpr int kChain = 64;

/// What happens to sums that are complete: nothing.
struct Leave {
  template <int kT, int kV>
  void operator()(Vec (&)[kT][kV]) const {}
};

/// y = x + bias, and then, as in Caffe's ReLU, y = max(y, 0) + slope min(y, 0): with slope 0, NaN
/// comes of -inf.
struct AddBias {
  const float* bias;  // [vectors][block]
  bool relu;
  float slope;
  template <int kT, int kV>
  void operator()(Vec (&sums)[kT][kV]) const {
#pragma GCC unroll 64
    for (int i = 0; i < kT * kV; ++i) sums[i / kV][i % kV] += load(bias + i % kV * kBlock);
    if (!relu) return;
#pragma GCC unroll 64
    for (int i = 0; i < kT * kV; ++i) {
      const Vec value = sums[i / kV][i % kV];
      sums[i / kV][i % kV] = value < zero() ? value * slope + zero() : value;
    }
  }
};

/// Weights are asked for so many floats ahead, one line of the cache at a time: they may come from
/// memory, and how well the processor sees that coming depends on the compiler's code.
constexpr int kAhead = 2048, kLine = 16;

template <int kT, int kV, typename Finish>
void multiply(const float* v, size_t v_stride, const float* u, int blocks, float* m,
              size_t m_stride, const Finish& finish) {
  constexpr int kPart = kChain / kBlock;
  for (int begin = 0; begin < blocks; begin += kPart) {
    const int end = begin + kPart < blocks ? begin + kPart : blocks;
    Vec sums[kT][kV];
#pragma GCC unroll 64
    for (int i = 0; i < kT * kV; ++i) sums[i / kV][i % kV] = zero();
    for (int block = begin; block < end; ++block, v += v_stride) {
      for (int c = 0; c < kBlock; ++c, u += kV * kBlock) {
#pragma GCC unroll 4
        for (int j = 0; j < kV * kBlock; j += kLine) __builtin_prefetch(u + kAhead + j);
        Vec row[kV];
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) row[j] = load(u + j * kBlock);
#pragma GCC unroll 16
        for (int t = 0; t < kT; ++t) {
          const Vec value = v[t * kBlock + c] - zero();
#pragma GCC unroll 4
          for (int j = 0; j < kV; ++j) sums[t][j] += value * row[j];
        }
      }
    }
    const auto place = [m, m_stride](int i) { return m + i % kV * m_stride + i / kV * kBlock; };
    if (begin > 0) {
#pragma GCC unroll 64
      for (int i = 0; i < kT * kV; ++i) {
        sums[i / kV][i % kV] = load(place(i)) + sums[i / kV][i % kV];
      }
    }
    if (end == blocks) finish(sums);
#pragma GCC unroll 64
    for (int i = 0; i < kT * kV; ++i) store(place(i), sums[i / kV][i % kV]);
  }
}

/// multiply<t, kV> for t in [1, kT].
template <int kT, int kV, typename Finish>
struct MultiplyFor {
  typedef void (*Function)(const float*, size_t, const float*, int, float*, size_t, const Finish&);
  static Function get(int tiles) {
    return tiles == kT ? multiply<kT, kV, Finish> : MultiplyFor<kT - 1, kV, Finish>::get(tiles);
  }
};
template <int kV, typename Finish>
struct MultiplyFor<1, kV, Finish> {
  typedef void (*Function)(const float*, size_t, const float*, int, float*, size_t, const Finish&);
  static Function get(int) { return multiply<1, kV, Finish>; }
};

template <typename Finish>
void multiply_any(const float* v, size_t v_stride, const float* u, int blocks, int tiles,
                  int vectors, float* m, size_t m_stride, const Finish& finish) {
  const auto function = vectors == kVectors ? MultiplyFor<kTiles, kVectors, Finish>::get(tiles)
                                            : MultiplyFor<kTiles, 1, Finish>::get(tiles);
  function(v, v_stride, u, blocks, m, m_stride, finish);
}

void product(const float* v, size_t v_stride, const float* u, int blocks, int tiles, int vectors,
             float* m, size_t m_stride) {
  multiply_any(v, v_stride, u, blocks, tiles, vectors, m, m_stride, Leave());
}

void product_and_bias(const float* v, size_t v_stride, const float* u, int blocks, int tiles,
                      int vectors, const float* bias, bool relu, float slope, float* m,
                      size_t m_stride) {
  multiply_any(v, v_stride, u, blocks, tiles, vectors, m, m_stride, AddBias{bias, relu, slope});
}

template <int kV>
void add_products(const float* v, const float* z, size_t z_stride, int tiles, bool add, float* du,
                  size_t du_stride, size_t du_row) {
  for (int begin = 0; begin < tiles; begin += 2 * kChain) {
    const int end = begin + 2 * kChain < tiles ? begin + 2 * kChain : tiles;
    Vec sums[kRows][kV];
#pragma GCC unroll 64
    for (int i = 0; i < kRows * kV; ++i) sums[i / kV][i % kV] = zero();
    for (int t = begin; t < end; ++t, v += kBlock, z += kBlock) {
      Vec row[kV];
#pragma GCC unroll 4
      for (int j = 0; j < kV; ++j) row[j] = load(z + j * z_stride);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const Vec value = v[r] - zero();
#pragma GCC unroll 4
        for (int j = 0; j < kV; ++j) sums[r][j] += value * row[j];
      }
    }
#pragma GCC unroll 64
    for (int i = 0; i < kRows * kV; ++i) {
      float* const to = du + i % kV * du_stride + i / kV * du_row;
      const Vec sum = sums[i / kV][i % kV];
      store_any(to, begin == 0 && !add ? sum : load_any(to) + sum);
    }
  }
}

void accumulate(const float* v, const float* z, size_t z_stride, int tiles, int columns, bool add,
                float* du, size_t du_stride, size_t du_row) {
  static_assert(kColumns == 3, "one case for each number of columns");
  (columns == 3   ? add_products<3>
   : columns == 2 ? add_products<2>
                  : add_products<1>)(v, z, z_stride, tiles, add, du, du_stride, du_row);
}

// ---- weights

template <int kKernel>
void evaluate_filter(const float* filter, float* to, size_t plane) {
  Vec half[kKernel][kSide];  // [column][point]
  for (int x = 0; x < kKernel; ++x) {
    Vec w[kKernel];
    for (int y = 0; y < kKernel; ++y) w[y] = load(filter + (y * kKernel + x) * kBlock);
    evaluate<kKernel>(w, half[x]);
    scale(half[x]);
  }
  for (int y = 0; y < kSide; ++y) {
    Vec w[kKernel], u[kSide];
    for (int x = 0; x < kKernel; ++x) w[x] = half[x][y];
    evaluate<kKernel>(w, u);
    scale(u);
    for (int x = 0; x < kSide; ++x) store(to + (y * kSide + x) * plane, u[x]);
  }
}

void transform_weights(const float* filter, int kernel, float* to, size_t plane) {
  (kernel == 3 ? evaluate_filter<3> : evaluate_filter<5>)(filter, to, plane);
}

template <int kKernel>
void combine_filter(const float* from, size_t plane, float* filter) {
  Vec half[kKernel][kSide];
  for (int x = 0; x < kSide; ++x) {
    Vec u[kSide], w[kKernel];
    for (int y = 0; y < kSide; ++y) u[y] = load(from + (y * kSide + x) * plane);
    scale(u);
    combine<kKernel>(u, w);
    for (int y = 0; y < kKernel; ++y) half[y][x] = w[y];
  }
  for (int y = 0; y < kKernel; ++y) {
    Vec w[kKernel];
    scale(half[y]);
    combine<kKernel>(half[y], w);
    for (int x = 0; x < kKernel; ++x) store(filter + (y * kKernel + x) * kBlock, w[x]);
  }
}

void transform_weights_back(const float* from, size_t plane, int kernel, float* filter) {
  (kernel == 3 ? combine_filter<3> : combine_filter<5>)(from, plane, filter);
}

constexpr Kernels kKernels = {kBlock,
                              kTiles,
                              kVectors,
                              kRows,
                              kColumns,
                              transform_input,
                              transform_output,
                              transform_gradient,
                              product,
                              accumulate,
                              product_and_bias,
                              transform_weights,
                              transform_weights_back};

}  // namespace
}  // namespace winograd
}  // namespace caffe

#endif  // CAFFE_UTIL_WINOGRAD_BODY_HPP_
