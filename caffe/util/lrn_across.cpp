#include "caffe/util/lrn_across.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "caffe/util/ceil_div.hpp"

namespace caffe {
namespace lrn_across {
namespace {

/// Bytes of a room, which holds one value for each value of a tile. On plain images, longer rows of
/// pixels are worth a slower cache.
constexpr int kRoomBytes = 16 << 10, kPlainRoomBytes = 48 << 10;
constexpr int kLine = 16;  // floats in a line of the cache

/// All channels of some pixels of an image, as rows of vectors. In blocks, a row has the pixels of
/// a block of channels, and a vector the channels of a pixel. In plain images, a row has the pixels
/// of a channel, and a vector some of them.
struct Tile {
  int rows, vectors;
  std::ptrdiff_t row;                      // floats from one row to the next in an image
  std::ptrdiff_t room_row, room_vector;    // the same in a room, and from one vector to the next
  std::ptrdiff_t step;                     // in a room, from one channel of a pixel to the next
  int half;                                // (n - 1) / 2
  float k, factor, gradient_factor, beta;  // factors: alpha / n and 2 beta alpha / n
  bool relu;                               // whether dx goes through a ReLU, too
  int padding;                             // the last values of the last row's vectors

  const float *x, *dy;
  float* y;  // or dx
  // Rooms, at the first channel of the first pixel. `half` channels before and behind are 0.
  float *squares, *ratios;
};

// The arithmetic is written once and compiled for each set of instructions. No value depends on the
// width of the vectors.
#define ALWAYS_INLINE inline __attribute__((always_inline))

/// s^-beta, and 1 / s.
struct Powers {
  float power, inverse;
};

struct AnyBeta {
  float beta;
  explicit ALWAYS_INLINE AnyBeta(const Tile& tile) : beta(tile.beta) {}
  ALWAYS_INLINE Powers operator()(float s) const { return {std::pow(s, -beta), 1 / s}; }
};

/// beta is 0.75.
struct ThreeQuarters {
  explicit ALWAYS_INLINE ThreeQuarters(const Tile&) {}
  ALWAYS_INLINE Powers operator()(float s) const {
    const float root = 1 / __builtin_sqrtf(s);
    return {root * __builtin_sqrtf(root), root * root};
  }
};

/// sum + p[kFrom step] + ... + p[kTo step]
template <int kFrom, int kTo>
struct Chain {
  static ALWAYS_INLINE float add(float sum, const float* p, std::ptrdiff_t step) {
    return Chain<kFrom + 1, kTo>::add(sum + p[kFrom * step], p, step);
  }
};
template <int kTo>
struct Chain<kTo, kTo> {
  static ALWAYS_INLINE float add(float sum, const float* p, std::ptrdiff_t step) {
    return sum + p[kTo * step];
  }
};

/// The sums over the channels around each value of a vector in a room. kHalf 0: any number.
template <int kLanes, int kHalf>
ALWAYS_INLINE void add_windows(const Tile& tile, const float* p, float (&sums)[kLanes]) {
  if constexpr (kHalf > 0) {
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      sums[i] = Chain<1 - kHalf, kHalf>::add(p[i - kHalf * tile.step], p + i, tile.step);
    }
    return;
  }
  for (int i = 0; i < kLanes; ++i) sums[i] = 0;
  for (int d = -tile.half; d <= tile.half; ++d) {
    const float* const from = p + d * tile.step;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) sums[i] += from[i];
  }
}

/// step(place in an image, place in a room) for each vector.
template <int kLanes, typename Step>
ALWAYS_INLINE void for_vectors(const Tile& tile, const Step& step) {
  for (int row = 0; row < tile.rows; ++row) {
    for (int vector = 0; vector < tile.vectors; ++vector) {
      step(row * tile.row + vector * kLanes, row * tile.room_row + vector * tile.room_vector);
    }
  }
}

/// Writes 0 to the padding, where 0 * infinity may have made NaN. `vector`: from one to the next.
template <int kLanes>
ALWAYS_INLINE void clear_padding(const Tile& tile, float* last_row, std::ptrdiff_t vector) {
  for (int i = 0; tile.padding > 0 && i < tile.vectors; ++i) {
    float* const end = last_row + i * vector + kLanes;
    std::fill(end - tile.padding, end, 0.f);
  }
}

// ---- the steps of the passes

template <int kLanes>
struct Square {
  const Tile& tile;
  ALWAYS_INLINE void operator()(std::ptrdiff_t at, std::ptrdiff_t in_room) const {
    const float* const x = tile.x + at;
    float* const squares = tile.squares + in_room;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) squares[i] = x[i] * x[i];
  }
};

/// y = x s^-beta
template <int kLanes, int kHalf, typename Power>
struct Normalise {
  const Tile& tile;
  const Power power;
  ALWAYS_INLINE void operator()(std::ptrdiff_t at, std::ptrdiff_t in_room) const {
    float sums[kLanes];
    add_windows<kLanes, kHalf>(tile, tile.squares + in_room, sums);
    const float* const x = tile.x + at;
    float* const y = tile.y + at;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      y[i] = x[i] * power(tile.k + tile.factor * sums[i]).power;
    }
  }
};

/// dx = dy s^-beta, and ratios = dy x s^(-beta - 1)
template <int kLanes, int kHalf, typename Power>
struct Divide {
  const Tile& tile;
  const Power power;
  ALWAYS_INLINE void operator()(std::ptrdiff_t at, std::ptrdiff_t in_room) const {
    float sums[kLanes];
    add_windows<kLanes, kHalf>(tile, tile.squares + in_room, sums);
    const float *const x = tile.x + at, *const dy = tile.dy + at;
    float *const dx = tile.y + at, *const ratios = tile.ratios + in_room;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const Powers of_s = power(tile.k + tile.factor * sums[i]);
      dx[i] = dy[i] * of_s.power;
      ratios[i] = dx[i] * x[i] * of_s.inverse;
    }
  }
};

/// dx -= 2 beta alpha / n * x * sum of ratios; and through the ReLU, as ReLULayer does it.
template <int kLanes, int kHalf>
struct Subtract {
  const Tile& tile;
  ALWAYS_INLINE void operator()(std::ptrdiff_t at, std::ptrdiff_t in_room) const {
    float sums[kLanes];
    add_windows<kLanes, kHalf>(tile, tile.ratios + in_room, sums);
    const float* const x = tile.x + at;
    float* const dx = tile.y + at;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) dx[i] -= tile.gradient_factor * x[i] * sums[i];
    if (!tile.relu) return;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const float positive = x[i] > 0 ? dx[i] : 0, negative = x[i] > 0 ? 0 : dx[i];
      dx[i] = positive + 0 * negative;
    }
  }
};

// ---- the passes over a tile

template <int kLanes, int kHalf, typename Power>
struct Forward {
  static ALWAYS_INLINE void run(const Tile& tile) {
    for_vectors<kLanes>(tile, Square<kLanes>{tile});
    for_vectors<kLanes>(tile, Normalise<kLanes, kHalf, Power>{tile, Power(tile)});
    clear_padding<kLanes>(tile, tile.y + (tile.rows - 1) * tile.row, kLanes);
  }
};

template <int kLanes, int kHalf, typename Power>
struct Backward {
  static ALWAYS_INLINE void run(const Tile& tile) {
    for_vectors<kLanes>(tile, Square<kLanes>{tile});
    for_vectors<kLanes>(tile, Divide<kLanes, kHalf, Power>{tile, Power(tile)});
    clear_padding<kLanes>(tile, tile.ratios + (tile.rows - 1) * tile.room_row, tile.room_vector);
    for_vectors<kLanes>(tile, Subtract<kLanes, kHalf>{tile});
    clear_padding<kLanes>(tile, tile.y + (tile.rows - 1) * tile.row, kLanes);
  }
};

typedef void (*Kernel)(const Tile&);

template <typename Work>
void plain(const Tile& tile) {
  Work::run(tile);
}

#if defined(__x86_64__)
template <typename Work>
__attribute__((target("avx2"))) void avx2(const Tile& tile) {
  Work::run(tile);
}

template <typename Work>
__attribute__((target("avx512f,prefer-vector-width=512"))) void avx512(const Tile& tile) {
  Work::run(tile);
}

template <typename Work>
Kernel kernel(Isa isa) {
  return isa == Isa::kAvx512 ? avx512<Work> : isa == Isa::kAvx2 ? avx2<Work> : plain<Work>;
}
#else
template <typename Work>
Kernel kernel(Isa) {
  return plain<Work>;
}
#endif

template <template <int, int, typename> class Pass, int kLanes>
Kernel choose(const Window& window, Isa isa) {
  if (window.beta != 0.75f) return kernel<Pass<kLanes, 0, AnyBeta>>(isa);
  if (window.size != 5) return kernel<Pass<kLanes, 0, ThreeQuarters>>(isa);
  return kernel<Pass<kLanes, 2, ThreeQuarters>>(isa);
}

/// The kernels of a pass: for whole vectors, and for the pixels that do not fill one.
struct Kernels {
  Kernel vectors, rest;
};

template <template <int, int, typename> class Pass>
Kernels kernels_of(const Images& images, const Window& window, Isa isa) {
  return {images.block == 8 ? choose<Pass, 8>(window, isa) : choose<Pass, 16>(window, isa),
          choose<Pass, 1>(window, isa)};
}

struct Values {
  const float *x, *dy;  // dy is null in a forward pass
  float* y;             // or dx
  bool relu;
};

/// How a pass is divided into tiles of the same number of pixels, but for the last one of an image.
class Division {
 public:
  Division(const Images& images, const Window& window) : images_(images), window_(window) {
    const int half = window.size / 2;
    const int whole = images.block == 0 ? 1 : images.block;
    rows_ = ceil_div(images.channels, whole);
    lanes_ = images.block == 0 ? kLine : images.block;
    before_ = images.block == 0 ? half : ceil_div(half, kLine) * kLine;
    channels_ = ceil_div(before_ + rows_ * whole + half, kLine) * kLine;
    const int bytes = images.block == 0 ? kPlainRoomBytes : kRoomBytes;
    const int fit = bytes / static_cast<int>(sizeof(float)) / channels_;
    most_ = std::max(1, fit / kLine) * kLine;
  }
  int tiles() const { return images_.images * tiles_of_image(); }
  /// Floats of one room.
  size_t room() const { return static_cast<size_t>(channels_) * most_; }

  /// `room` has two rooms of zeros and of what other tiles left.
  void run(const Kernels& kernels, int index, const Values& values, float* room) const {
    const int begin = index % tiles_of_image() * most_;
    const int pixels = std::min(most_, images_.pixels - begin);
    const bool plain = images_.block == 0;
    Tile tile = tile_of_window();
    const std::ptrdiff_t at =
        index / tiles_of_image() * tile.row * rows_ + std::ptrdiff_t(begin) * (plain ? 1 : lanes_);
    tile.x = values.x + at;
    tile.dy = values.dy == nullptr ? nullptr : values.dy + at;
    tile.y = values.y + at;
    tile.relu = values.relu;
    tile.squares = room + (plain ? std::ptrdiff_t(before_) * most_ : before_);
    tile.ratios = tile.squares + this->room();
    tile.vectors = plain ? pixels / lanes_ : pixels;
    kernels.vectors(tile);
    const int done = plain ? tile.vectors * lanes_ : pixels;
    if (done == pixels) return;
    tile.x += done;
    tile.dy += values.dy == nullptr ? 0 : done;
    tile.y += done;
    tile.vectors = pixels - done;
    tile.room_vector = 1;
    kernels.rest(tile);
  }

 private:
  int tiles_of_image() const { return ceil_div(images_.pixels, most_); }

  Tile tile_of_window() const {
    const bool plain = images_.block == 0;
    Tile tile = {};
    tile.rows = rows_;
    tile.row = std::ptrdiff_t(images_.pixels) * (plain ? 1 : lanes_);
    tile.room_row = plain ? most_ : lanes_;
    tile.room_vector = plain ? lanes_ : channels_;
    tile.step = plain ? most_ : 1;
    tile.half = window_.size / 2;
    tile.k = window_.k;
    tile.factor = window_.alpha / static_cast<float>(window_.size);
    tile.gradient_factor = 2 * window_.beta * window_.alpha / static_cast<float>(window_.size);
    tile.beta = window_.beta;
    tile.padding = plain ? 0 : rows_ * lanes_ - images_.channels;
    return tile;
  }

  Images images_;
  Window window_;
  int rows_, lanes_;
  int before_, channels_;  // of a pixel in a room: those of 0 before the first, and all
  int most_;               // pixels of a tile
};

void run(const Images& images, const Window& window, const Kernels& kernels, int rooms,
         const Values& values) {
  const Division division(images, window);
  const size_t room = rooms * division.room() + kLine;
  std::vector<float> memory(omp_get_max_threads() * room);
#pragma omp parallel
  {
    const auto mine = reinterpret_cast<uintptr_t>(memory.data() + omp_get_thread_num() * room);
    constexpr uintptr_t kBytes = kLine * sizeof(float);
    float* const aligned = reinterpret_cast<float*>((mine + kBytes - 1) / kBytes * kBytes);
#pragma omp for schedule(static)
    for (int i = 0; i < division.tiles(); ++i) division.run(kernels, i, values, aligned);
  }
}

}  // namespace

void forward(const Images& images, const Window& window, const float* x, float* y, Isa isa) {
  run(images, window, kernels_of<Forward>(images, window, isa), 1, {x, nullptr, y, false});
}

void backward(const Images& images, const Window& window, const float* x, const float* dy,
              bool relu, float* dx, Isa isa) {
  run(images, window, kernels_of<Backward>(images, window, isa), 2, {x, dy, dx, relu});
}

}  // namespace lrn_across
}  // namespace caffe
