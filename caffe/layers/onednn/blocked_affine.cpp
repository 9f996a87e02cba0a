#include "caffe/layers/onednn/blocked_affine.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "caffe/util/bf16.hpp"

namespace caffe {
namespace onednn {
namespace {

// The number of pixels whose values are summed in float, and which a pass reads twice while they
// are in the processor's first cache.
constexpr int64_t kRun = 128;

/// The values of a memory, or none, of floats or of bfloat16 numbers. A sweep takes them run by
/// run.
class Values {
 public:
  explicit Values(const dnnl::memory* memory)
      : all_(memory == nullptr ? nullptr : memory->get_data_handle()),
        is_bf16_(memory != nullptr && is_bf16(memory->get_desc())) {}

  /// `count` values from `begin` on as floats, where they are or in `room`; null: none.
  const float* read(int64_t begin, int64_t count, float* room) const {
    if (all_ == nullptr) return nullptr;
    if (!is_bf16_) return static_cast<const float*>(all_) + begin;
    widen(static_cast<const Bf16*>(all_) + begin, count, room);
    return room;
  }
  /// Where to write these values; wrote() after it.
  float* write(int64_t begin, float* room) const {
    return is_bf16_ ? room : static_cast<float*>(all_) + begin;
  }
  void wrote(int64_t begin, int64_t count, const float* room) const {
    if (is_bf16_) narrow(room, count, static_cast<Bf16*>(all_) + begin);
  }

 private:
  void* all_;
  bool is_bf16_;
};

/// Floats of a run.
typedef float Room[kRun * 16];

/// Some pixels of one block of channels.
struct Run {
  int64_t pixels;
  const float* mean;  // [block], as all that belongs to channels
  const float* factor;
  const float* shift;
  const float* x;  // [pixels, block]
  float* y;        // or dx
  const float* dy;
  const float* slopes[3];
  double* first;  // [block]: a result
  double* second;
};

// The arithmetic is written once and compiled for the processor's baseline and for AVX2. No value
// depends on the width of the vectors: each channel has its own sums.
#define ALWAYS_INLINE inline __attribute__((always_inline))

/// Values of a block's channels in variables of the function, which no result can overlap.
template <int kBlock>
struct Channels {
  explicit ALWAYS_INLINE Channels(const float* from) {
    for (int k = 0; k < kBlock; ++k) values[k] = from[k];
  }
  ALWAYS_INLINE float operator[](int k) const { return values[k]; }
  float values[kBlock];
};

/// The sums of x - shift and of its square.
template <int kBlock, bool kSquares>
ALWAYS_INLINE void sum_run(const Run& run, const float (&shift)[kBlock], float (&sums)[kBlock],
                           float (&squares)[kBlock]) {
  for (int64_t p = 0; p < run.pixels; ++p) {
#pragma omp simd
    for (int k = 0; k < kBlock; ++k) {
      const float less = run.x[p * kBlock + k] - shift[k];
      sums[k] += less;
      if (kSquares) squares[k] += less * less;
    }
  }
}

/// The mean of the run, and the sum of the squares of the differences from it.
template <int kBlock>
struct Moments {
  static ALWAYS_INLINE void run(const Run& run) {
    const float zeros[kBlock] = {};
    float sums[kBlock] = {}, means[kBlock], rest[kBlock] = {}, squares[kBlock] = {};
    sum_run<kBlock, false>(run, zeros, sums, squares);
    for (int k = 0; k < kBlock; ++k) means[k] = sums[k] / static_cast<float>(run.pixels);
    sum_run<kBlock, true>(run, means, rest, squares);
    for (int k = 0; k < kBlock; ++k) {
      const double less = rest[k] / static_cast<double>(run.pixels);
      run.first[k] = means[k] + less;
      run.second[k] = squares[k] - less * less * static_cast<double>(run.pixels);
    }
  }
};

template <int kBlock, bool kRelu>
struct Forward {
  static ALWAYS_INLINE void run(const Run& run) {
    const Channels<kBlock> mean(run.mean), factor(run.factor), shift(run.shift);
    for (int64_t p = 0; p < run.pixels; ++p) {
#pragma omp simd
      for (int k = 0; k < kBlock; ++k) {
        const float y = (run.x[p * kBlock + k] - mean[k]) * factor[k] + shift[k];
        run.y[p * kBlock + k] = kRelu && y < 0 ? 0 : y;  // NaN stays
      }
    }
  }
};

template <int kBlock, bool kRelu>
struct Sums {
  static ALWAYS_INLINE void run(const Run& run) {
    const Channels<kBlock> mean(run.mean), factor(run.factor), shift(run.shift);
    float products[kBlock] = {}, sums[kBlock] = {};
    for (int64_t p = 0; p < run.pixels; ++p) {
#pragma omp simd
      for (int k = 0; k < kBlock; ++k) {
        const float less = run.x[p * kBlock + k] - mean[k], dy = run.dy[p * kBlock + k];
        const float g = !kRelu || less * factor[k] + shift[k] > 0 ? dy : 0;
        products[k] += g * less;
        sums[k] += g;
      }
    }
    for (int k = 0; k < kBlock; ++k) {
      run.first[k] += products[k];
      run.second[k] += sums[k];
    }
  }
};

template <int kBlock, bool kRelu, bool kByX>
struct Backward {
  static ALWAYS_INLINE void run(const Run& run) {
    const Channels<kBlock> mean(run.mean), factor(run.factor), shift(run.shift);
    const Channels<kBlock> s(run.slopes[0]), t(run.slopes[kByX ? 1 : 0]),
        u(run.slopes[kByX ? 2 : 0]);
    for (int64_t p = 0; p < run.pixels; ++p) {
#pragma omp simd
      for (int k = 0; k < kBlock; ++k) {
        const int64_t at = p * kBlock + k;
        const float less = kRelu || kByX ? run.x[at] - mean[k] : 0, dy = run.dy[at];
        const float dx = s[k] * (!kRelu || less * factor[k] + shift[k] > 0 ? dy : 0);
        run.y[at] = kByX ? dx + (t[k] * less + u[k]) : dx;
      }
    }
  }
};

typedef void (*Kernel)(const Run&);

template <typename Work>
void baseline(const Run& run) {
  Work::run(run);
}

#if defined(__x86_64__)
template <typename Work>
__attribute__((target("avx2"))) void avx2(const Run& run) {
  Work::run(run);
}

template <typename Work>
Kernel kernel() {
  return __builtin_cpu_supports("avx2") ? avx2<Work> : baseline<Work>;
}
#else
template <typename Work>
Kernel kernel() {
  return baseline<Work>;
}
#endif

/// The lengths of a memory, in blocks of channels.
struct Cut {
  explicit Cut(const dnnl::memory& memory) : block(stored_block(memory.get_desc())) {
    const Dims dims = dims_of(memory.get_desc());
    images = static_cast<int>(dims[0]);
    channels = static_cast<int>(dims[1]);
    pixels = dims[2] * dims[3];
  }
  int blocks() const { return channels / block; }
  int rows() const { return images * blocks(); }
  /// The first channel of a row: of one block of one image.
  int channel(int row) const { return row % blocks() * block; }
  int64_t begin(int row) const { return row * pixels * block; }

  int block, images, channels;
  int64_t pixels;
};

/// The parts of a row that begin at the pixel `from` and the channel c.
Run part_of(const BlockedAffine& affine, const Cut& cut, int c, int64_t from) {
  Run run = {};
  run.pixels = std::min(kRun, cut.pixels - from);
  run.mean = affine.mean + c;
  run.factor = affine.factor + c;
  run.shift = affine.shift + c;
  return run;
}

/// Adds the moments of some values to those of others: their number, mean and sum of squares of
/// differences from it (Chan, Golub and LeVeque 1983).
void add_moments(double count, double mean, double squares, double* total, double* of_all,
                 double* squares_of_all) {
  const double sum = *total + count, less = mean - *of_all;
  *of_all += less * count / sum;
  *squares_of_all += squares + less * less * *total * count / sum;
  *total = sum;
}

/// The mean and the squares of each channel of a row.
void row_moments(Kernel kernel, const Cut& cut, const Values& x, int64_t begin, double* means,
                 double* squares) {
  Room room;
  double first[16], second[16], totals[16] = {};
  Run run = {};
  run.first = first;
  run.second = second;
  for (int64_t from = 0; from < cut.pixels; from += kRun) {
    run.pixels = std::min(kRun, cut.pixels - from);
    run.x = x.read(begin + from * cut.block, run.pixels * cut.block, room);
    kernel(run);
    for (int k = 0; k < cut.block; ++k) {
      add_moments(static_cast<double>(run.pixels), first[k], second[k], &totals[k], &means[k],
                  &squares[k]);
    }
  }
}

/// The moments of each row and of all, by channel.
class MomentsOf {
 public:
  MomentsOf(const dnnl::memory& x, float* mean, float* variance)
      : cut_(x),
        kernel_(cut_.block == 16 ? kernel<Moments<16>>() : kernel<Moments<8>>()),
        x_(&x),
        mean_(mean),
        variance_(variance),
        means_(static_cast<size_t>(cut_.images) * cut_.channels),
        squares_(means_.size()) {}

  void row(int i) {
    const size_t at = static_cast<size_t>(i) * cut_.block;
    row_moments(kernel_, cut_, x_, cut_.begin(i), &means_[at], &squares_[at]);
  }
  void finish(int begin, int end) {
    for (int c = begin; c < end; ++c) {
      double total = 0, of_all = 0, squares_of_all = 0;
      for (int n = 0; n < cut_.images; ++n) {
        const size_t at = static_cast<size_t>(n) * cut_.channels + c;
        add_moments(static_cast<double>(cut_.pixels), means_[at], squares_[at], &total, &of_all,
                    &squares_of_all);
      }
      mean_[c] = static_cast<float>(of_all);
      variance_[c] = static_cast<float>(std::max(0., squares_of_all / total));
    }
  }

 private:
  Cut cut_;
  Kernel kernel_;
  Values x_;
  float *mean_, *variance_;
  std::vector<double> means_, squares_;  // [images][channels]
};

/// first(row) for each row, between() for its channels, then second(row).
template <typename First, typename Second>
void in_two_sweeps(const Cut& cut, const First& first, const Between& between,
                   const Second& second) {
  const int blocks = cut.blocks(), rows = cut.rows();
  if (blocks < 2 * omp_get_max_threads()) {  // too few for all threads
#pragma omp parallel for
    for (int i = 0; i < rows; ++i) first(i);
    between(0, cut.channels);
#pragma omp parallel for
    for (int i = 0; i < rows; ++i) second(i);
    return;
  }
#pragma omp parallel for
  for (int b = 0; b < blocks; ++b) {
    for (int i = b; i < rows; i += blocks) first(i);
    between(b * cut.block, (b + 1) * cut.block);
    for (int i = b; i < rows; i += blocks) second(i);
  }
}

/// affine_forward() of a row.
class ForwardOf {
 public:
  ForwardOf(const BlockedAffine& affine, const dnnl::memory& x, const dnnl::memory& y)
      : affine_(affine),
        cut_(x),
        kernel_(cut_.block == 16
                    ? affine.relu ? kernel<Forward<16, true>>() : kernel<Forward<16, false>>()
                : affine.relu ? kernel<Forward<8, true>>()
                              : kernel<Forward<8, false>>()),
        x_(&x),
        y_(&y) {}

  const Cut& cut() const { return cut_; }
  void row(int i) const {
    Room x, y;
    for (int64_t from = 0; from < cut_.pixels; from += kRun) {
      const int64_t at = cut_.begin(i) + from * cut_.block;
      Run run = part_of(affine_, cut_, cut_.channel(i), from);
      run.x = x_.read(at, run.pixels * cut_.block, x);
      run.y = y_.write(at, y);
      kernel_(run);
      y_.wrote(at, run.pixels * cut_.block, y);
    }
  }

 private:
  BlockedAffine affine_;
  Cut cut_;
  Kernel kernel_;
  Values x_, y_;
};

struct BackwardKernels {
  Kernel sums, gradient;
};

template <int kBlock, bool kRelu>
BackwardKernels backward_kernels(bool by_x) {
  return {kernel<Sums<kBlock, kRelu>>(), by_x ? kernel<Backward<kBlock, kRelu, true>>()
                                              : kernel<Backward<kBlock, kRelu, false>>()};
}

/// affine_backward() of a row.
class BackwardOf {
 public:
  explicit BackwardOf(const AffineBackward& pass)
      : pass_(pass),
        cut_(*pass.dy),
        kernels_(kernels_for(pass, cut_)),
        x_(pass.x),
        dy_(pass.dy),
        dx_(pass.dx) {
    if (pass.sums == nullptr) return;
    products_.resize(static_cast<size_t>(cut_.images) * cut_.channels);
    sums_.resize(products_.size());
  }

  const Cut& cut() const { return cut_; }
  /// Each run of pixels is read twice while it is in the first cache.
  void row(int i, bool sums, bool gradient) {
    const int c = cut_.channel(i);
    const size_t results = static_cast<size_t>(i) * cut_.block;
    Room x, dy, dx;
    for (int64_t from = 0; from < cut_.pixels; from += kRun) {
      const int64_t at = cut_.begin(i) + from * cut_.block;
      Run run = part_of(pass_.affine, cut_, c, from);
      const int64_t count = run.pixels * cut_.block;
      run.x = x_.read(at, count, x);
      run.dy = dy_.read(at, count, dy);
      if (sums) {
        run.first = &products_[results];
        run.second = &sums_[results];
        kernels_.sums(run);
      }
      if (!gradient) continue;
      for (int k = 0; k < 3; ++k) {
        run.slopes[k] = pass_.slopes[k] == nullptr ? nullptr : pass_.slopes[k] + c;
      }
      run.y = dx_.write(at, dx);
      kernels_.gradient(run);
      dx_.wrote(at, count, dx);
    }
  }
  /// Sums of the images' sums, so that these do not depend on the number of threads.
  void finish(int begin, int end) const {
    for (int c = begin; c < end; ++c) {
      pass_.products[c] = pass_.sums[c] = 0;
      for (int n = 0; n < cut_.images; ++n) {
        pass_.products[c] += products_[static_cast<size_t>(n) * cut_.channels + c];
        pass_.sums[c] += sums_[static_cast<size_t>(n) * cut_.channels + c];
      }
    }
  }

 private:
  static BackwardKernels kernels_for(const AffineBackward& pass, const Cut& cut) {
    const bool by_x = pass.slopes[1] != nullptr;
    if (cut.block == 16) {
      return pass.affine.relu ? backward_kernels<16, true>(by_x)
                              : backward_kernels<16, false>(by_x);
    }
    return pass.affine.relu ? backward_kernels<8, true>(by_x) : backward_kernels<8, false>(by_x);
  }

  const AffineBackward& pass_;
  Cut cut_;
  BackwardKernels kernels_;
  Values x_, dy_, dx_;
  std::vector<double> products_, sums_;  // [images][channels]
};

}  // namespace

void normalise(const BlockedAffine& affine, const dnnl::memory& x, float* mean, float* variance,
               const Between& between, const dnnl::memory& y) {
  const ForwardOf forward(affine, x, y);
  MomentsOf moments(x, mean, variance);
  in_two_sweeps(
      forward.cut(), [&](int i) { moments.row(i); },
      [&](int begin, int end) {
        moments.finish(begin, end);
        between(begin, end);
      },
      [&](int i) { forward.row(i); });
}

void affine_forward(const BlockedAffine& affine, const dnnl::memory& x, const dnnl::memory& y) {
  const ForwardOf forward(affine, x, y);
#pragma omp parallel for
  for (int i = 0; i < forward.cut().rows(); ++i) forward.row(i);
}

void affine_backward(const AffineBackward& pass) {
  BackwardOf backward(pass);
  const bool sums = pass.sums != nullptr, gradient = pass.dx != nullptr;
#pragma omp parallel for
  for (int i = 0; i < backward.cut().rows(); ++i) backward.row(i, sums, gradient);
  if (sums) backward.finish(0, backward.cut().channels);
}

void affine_backward(const AffineBackward& pass, const Between& between) {
  BackwardOf backward(pass);
  in_two_sweeps(
      backward.cut(), [&](int i) { backward.row(i, true, false); },
      [&](int begin, int end) {
        backward.finish(begin, end);
        between(begin, end);
      },
      [&](int i) { backward.row(i, false, true); });
}

}  // namespace onednn
}  // namespace caffe
