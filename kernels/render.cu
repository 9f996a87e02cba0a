#include "kernels/render.hpp"

#include "kernels/parallel.hpp"
#include "kernels/region.hpp"
#include "kernels/resample.hpp"
#include "kernels/tiles.hpp"

namespace maap {
namespace {

/// Half-open, in pixels.
struct Region {
  int x1, y1, x2, y2;
  template <typename T>
  MAAP_HD explicit Region(const T* r)  // [4]
      : x1(static_cast<int>(r[0])),
        y1(static_cast<int>(r[1])),
        x2(static_cast<int>(r[2])),
        y2(static_cast<int>(r[3])) {}
};

/// Pixel i of the batch: its image, its position, and the image's region.
template <typename T>
struct Pixel : Region {
  int n, y, x;
  int64_t offset;  // in an (n, 1, height, width) blob
  MAAP_HD Pixel(int i, const ImageShape& s, const T* regions)
      : Region(regions + static_cast<int64_t>(i / (s.height * s.width)) * 4),
        n(i / (s.height * s.width)),
        y(i / s.width % s.height),
        x(i % s.width),
        offset(i) {}
  MAAP_HD bool inside() const { return x >= x1 && x < x2 && y >= y1 && y < y2; }
};

[[noreturn]] void fail(AStar a_star) {
  throw Error("A* number " + std::to_string(static_cast<int>(a_star)) +
              " is not one of EliminationParameter.AStar");
}

/// What D is multiplied with: `a` A + `one`.
template <typename T>
struct Factor {
  T a, one;
};

template <typename T>
struct Factors {
  Factor<T> inside, outside;  // the region
};

/// Those of an A* that has them, which kRoi and kDrop have not.
template <typename T>
Factors<T> factors(AStar a_star) {
  const Factor<T> zero = {0, 0}, one = {0, 1}, a = {1, 0}, a_plus_one = {1, 1};
  switch (a_star) {
    case AStar::kRoi:
      break;
    case AStar::kUncorrelated:
      return {one, zero};
    case AStar::kEnhance:
      return {a_plus_one, zero};
    case AStar::kReduce:
      return {one, a};
    case AStar::kAllSoft:
      return {a, a};
    case AStar::kAllSoftPlusOne:
      return {a_plus_one, a_plus_one};
    case AStar::kDrop:
      break;
  }
  fail(a_star);
}

/// out = A* in, the same for D and for gradients.
template <typename T>
struct Multiply {
  ImageShape s;
  Factors<T> factors;
  const T* in;       // [n, channels, height, width]
  const T* a;        // [n, 1, height, width]
  const T* regions;  // [n, 4]
  T* out;            // [n, channels, height, width]
  MAAP_HD void operator()(int i) const {
    const Pixel<T> p(i, s, regions);
    const Factor<T> factor = p.inside() ? factors.inside : factors.outside;
    const T w = factor.a * a[p.offset] + factor.one;
    const int64_t plane = static_cast<int64_t>(s.height) * s.width;
    int64_t at = p.offset + p.n * (s.channels - 1) * plane;
    for (int c = 0; c < s.channels; ++c, at += plane) out[at] = w * in[at];
  }
};

/// The same for kDrop, which hides what is attended to.
template <typename T>
struct Drop {
  ImageShape s;
  const T* in;     // [n, channels, height, width]
  const T* a;      // [n, 1, height, width]
  const T* stats;  // [n, kStatsSize]
  T* out;          // [n, channels, height, width]
  MAAP_HD void operator()(int i) const {
    const int plane = s.height * s.width, n = i / plane;
    const T w = a[i] > stats[static_cast<int64_t>(n) * kStatsSize + kThreshold] ? T(0) : T(1);
    int64_t at = i + static_cast<int64_t>(n) * (s.channels - 1) * plane;
    for (int c = 0; c < s.channels; ++c, at += plane) out[at] = w * in[at];
  }
};

/// A team resizes the same rows of all channels of an image, and computes each tap once.
template <typename T>
struct CropResize {
  ImageShape s;
  const T* d;        // [n, channels, height, width]
  const T* regions;  // [n, 4]
  T* d_star;         // [n, channels, height, width]

  static constexpr int kLeastBlocks = 1;  // spills otherwise
  static constexpr int kRows = 16;
  static constexpr int kColumns = kTeamScratch / sizeof(Tap<T>) - kRows;
  static int teams(const ImageShape& s) { return s.n * ((s.height + kRows - 1) / kRows); }

  template <typename Team>
  MAAP_HD void operator()(int i, const Team& team) const {
    const int per_image = (s.height + kRows - 1) / kRows, n = i / per_image;
    const int first_row = (i - n * per_image) * kRows;
    const int rows = kRows < s.height - first_row ? kRows : s.height - first_row;
    const Region region(regions + static_cast<int64_t>(n) * 4);
    Tap<T>* const row_taps = static_cast<Tap<T>*>(team.scratch());
    Tap<T>* const taps = row_taps + kRows;
#pragma unroll 1
    for (int y = team.rank(); y < rows; y += Team::size()) {
      row_taps[y] = Tap<T>(first_row + y, region.y2 - region.y1, s.height);
    }
    for (int first = 0; first < s.width; first += kColumns) {
      const int columns = kColumns < s.width - first ? kColumns : s.width - first;
#pragma unroll 1
      for (int x = team.rank(); x < columns; x += Team::size()) {
        taps[x] = Tap<T>(first + x, region.x2 - region.x1, s.width);
      }
      team.sync();
      for (int c = 0; c < s.channels; ++c) {
        const int64_t plane = (static_cast<int64_t>(n) * s.channels + c) * s.height * s.width;
        const T* const in = d + plane + static_cast<int64_t>(region.y1) * s.width + region.x1;
        for (int y = 0; y < rows; ++y) {
          T* const out = d_star + plane + static_cast<int64_t>(first_row + y) * s.width + first;
          for (int x = team.rank(); x < columns; x += Team::size()) {
            out[x] = bilinear(in, s.width, row_taps[y], taps[x]);
          }
        }
      }
      team.sync();
    }
  }
};

/// The samples of `out` that sample `i` of `in` may contribute to.
struct Reach {
  int first, last;
  MAAP_HD Reach(int i, int in, int out) {
    // Those whose place lies between i - 1 and i + 1, and one more on either side.
    const int64_t size = out, step = 2 * static_cast<int64_t>(in);
    const int64_t low = (2 * i - 1) * size - in, high = (2 * i + 3) * size - in;
    int64_t rest;
    first = low < step ? 0 : divide(low, step, &rest) - 1;
    last = high < 0 ? 1 : divide(high, step, &rest) + 1;
    if (i == in - 1 || last > out - 1) last = out - 1;
  }
};

template <typename T>
MAAP_HD T part(const Tap<T>& tap, int i) {
  return (tap.first == i ? T(1) - tap.weight : T(0)) + (tap.second == i ? tap.weight : T(0));
}

/// For each pixel of D, gathers the gradient from the pixels of D* that used it: without atomics,
/// so that the sum is always the same.
template <typename T>
struct CropResizeBackward {
  ImageShape s;
  const T* gradient;  // [n, channels, height, width]
  const T* regions;   // [n, 4]
  T* out;             // [n, channels, height, width]
  MAAP_HD void operator()(int i) const {
    const Pixel<T> p(i, s, regions);
    const int64_t plane = static_cast<int64_t>(s.height) * s.width;
    const int64_t image = p.n * s.channels * plane;
    for (int c = 0; c < s.channels; ++c) {
      T sum = T(0);
      if (p.inside()) sum = gather(p, gradient + image + c * plane);
      out[image + c * plane + static_cast<int64_t>(p.y) * s.width + p.x] = sum;
    }
  }
  MAAP_HD T gather(const Pixel<T>& p, const T* g) const {
    const int height = p.y2 - p.y1, width = p.x2 - p.x1;
    const Reach rows(p.y - p.y1, height, s.height), columns(p.x - p.x1, width, s.width);
    T sum = T(0);
    for (int y = rows.first; y <= rows.last; ++y) {
      const T row_part = part(Tap<T>(y, height, s.height), p.y - p.y1);
      if (row_part == T(0)) continue;
      T row = T(0);
      for (int x = columns.first; x <= columns.last; ++x)
        row +=
            part(Tap<T>(x, width, s.width), p.x - p.x1) * g[static_cast<int64_t>(y) * s.width + x];
      sum += row_part * row;
    }
    return sum;
  }
};

template <typename T>
struct FillZero {
  T* x;
  MAAP_HD void operator()(int i) const { x[i] = T(0); }
};

int64_t pixels(const ImageShape& s) {
  return static_cast<int64_t>(s.n) * s.height * s.width;
}

}  // namespace

const char* name_of(AStar a_star) {
  switch (a_star) {
    case AStar::kRoi:
      return "ROI";
    case AStar::kUncorrelated:
      return "UNCORRELATED";
    case AStar::kEnhance:
      return "ENHANCE";
    case AStar::kReduce:
      return "REDUCE";
    case AStar::kAllSoft:
      return "ALLSOFT";
    case AStar::kAllSoftPlusOne:
      return "ALLSOFT_PLUS_ONE";
    case AStar::kDrop:
      return "DROP";
  }
  fail(a_star);
}

namespace {

/// A* of a definition that multiplies, D's or a gradient's.
template <typename T>
void multiply(Device device, const ImageShape& s, AStar a_star, const T* in, const T* a,
              const T* regions, const T* stats, T* out) {
  if (a_star == AStar::kDrop) {
    parallel_for(device, pixels(s), Drop<T>{s, in, a, stats, out});
  } else {
    parallel_for(device, pixels(s), Multiply<T>{s, factors<T>(a_star), in, a, regions, out});
  }
}

}  // namespace

template <typename T>
void render(Device device, const ImageShape& s, AStar a_star, const T* d, const T* a,
            const T* regions, const T* stats, T* d_star) {
  if (a_star == AStar::kRoi) {
    using Resize = CropResize<T>;
    parallel_tile_teams(device, Resize::teams(s), int64_t(Resize::kRows) * s.width * s.channels,
                        Resize{s, d, regions, d_star});
  } else {
    multiply(device, s, a_star, d, a, regions, stats, d_star);
  }
}

template <typename T>
void render_backward(Device device, const ImageShape& s, AStar a_star, const T* d_star_gradient,
                     const T* a, const T* regions, const T* stats, T* d_gradient) {
  if (a_star == AStar::kRoi) {
    parallel_for(device, pixels(s), CropResizeBackward<T>{s, d_star_gradient, regions, d_gradient});
  } else {
    multiply(device, s, a_star, d_star_gradient, a, regions, stats, d_gradient);
  }
}

template <typename T>
void fill_zero(Device device, int64_t n, T* x) {
  parallel_for(device, n, FillZero<T>{x});
}

#define MAAP_INSTANTIATE(T)                                                                      \
  template void render(Device, const ImageShape&, AStar, const T*, const T*, const T*, const T*, \
                       T*);                                                                      \
  template void render_backward(Device, const ImageShape&, AStar, const T*, const T*, const T*,  \
                                const T*, T*);                                                   \
  template void fill_zero(Device, int64_t, T*);
MAAP_INSTANTIATE(float)
MAAP_INSTANTIATE(double)
#undef MAAP_INSTANTIATE

}  // namespace maap
