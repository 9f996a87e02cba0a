#include "caffe/layers/onednn/blocked_affine.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace caffe {
namespace onednn {
namespace {

// The number of pixels whose values are summed in float, and which a pass reads twice while they
// are in the processor's first cache.
constexpr int64_t kRun = 128;

float* values(const dnnl::memory* memory) {
  return memory == nullptr ? nullptr : static_cast<float*>(memory->get_data_handle());
}

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
  explicit Cut(const dnnl::memory& memory) : block(channel_block(memory.get_desc())) {
    const Dims dims = dims_of(memory.get_desc());
    images = static_cast<int>(dims[0]);
    channels = static_cast<int>(dims[1]);
    pixels = dims[2] * dims[3];
  }
  int rows() const { return images * (channels / block); }
  /// The first channel of a row: of one block of one image.
  int channel(int row) const { return row % (channels / block) * block; }
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
void row_moments(Kernel kernel, const Cut& cut, const float* x, double* means, double* squares) {
  double first[16], second[16], totals[16] = {};
  Run run = {};
  run.first = first;
  run.second = second;
  for (int64_t from = 0; from < cut.pixels; from += kRun) {
    run.pixels = std::min(kRun, cut.pixels - from);
    run.x = x + from * cut.block;
    kernel(run);
    for (int k = 0; k < cut.block; ++k) {
      add_moments(static_cast<double>(run.pixels), first[k], second[k], &totals[k], &means[k],
                  &squares[k]);
    }
  }
}

struct BackwardKernels {
  Kernel sums, gradient;
};

template <int kBlock, bool kRelu>
BackwardKernels backward_kernels(bool by_x) {
  return {kernel<Sums<kBlock, kRelu>>(), by_x ? kernel<Backward<kBlock, kRelu, true>>()
                                              : kernel<Backward<kBlock, kRelu, false>>()};
}

void backward_row(const AffineBackward& pass, const BackwardKernels& kernels, const Cut& cut,
                  int row, double* products, double* sums) {
  const int c = cut.channel(row);
  for (int64_t from = 0; from < cut.pixels; from += kRun) {
    const int64_t at = cut.begin(row) + from * cut.block;
    Run run = part_of(pass.affine, cut, c, from);
    for (int i = 0; i < 3; ++i) {
      run.slopes[i] = pass.slopes[i] == nullptr ? nullptr : pass.slopes[i] + c;
    }
    run.x = pass.x == nullptr ? nullptr : values(pass.x) + at;
    run.dy = values(pass.dy) + at;
    run.first = products;
    run.second = sums;
    if (products != nullptr) kernels.sums(run);
    if (pass.dx == nullptr) continue;
    run.y = values(pass.dx) + at;
    kernels.gradient(run);
  }
}

}  // namespace

void blocked_moments(const dnnl::memory& x, float* mean, float* variance) {
  const Cut cut(x);
  const Kernel kernel16 = kernel<Moments<16>>(), kernel8 = kernel<Moments<8>>();
  const size_t count = static_cast<size_t>(cut.images) * cut.channels;
  std::vector<double> means(count), squares(count);  // of each image
#pragma omp parallel for
  for (int i = 0; i < cut.rows(); ++i) {
    const size_t at = static_cast<size_t>(i) * cut.block;
    row_moments(cut.block == 16 ? kernel16 : kernel8, cut, values(&x) + cut.begin(i), &means[at],
                &squares[at]);
  }
  for (int c = 0; c < cut.channels; ++c) {
    double total = 0, of_all = 0, squares_of_all = 0;
    for (int n = 0; n < cut.images; ++n) {
      const size_t at = static_cast<size_t>(n) * cut.channels + c;
      add_moments(static_cast<double>(cut.pixels), means[at], squares[at], &total, &of_all,
                  &squares_of_all);
    }
    mean[c] = static_cast<float>(of_all);
    variance[c] = static_cast<float>(std::max(0., squares_of_all / total));
  }
}

void affine_forward(const BlockedAffine& affine, const dnnl::memory& x, const dnnl::memory& y) {
  const Cut cut(x);
  const Kernel run_kernel =
      cut.block == 16 ? affine.relu ? kernel<Forward<16, true>>() : kernel<Forward<16, false>>()
      : affine.relu ? kernel<Forward<8, true>>()
                      : kernel<Forward<8, false>>();
#pragma omp parallel for
  for (int i = 0; i < cut.rows(); ++i) {
    Run run = part_of(affine, cut, cut.channel(i), 0);
    run.pixels = cut.pixels;
    run.x = values(&x) + cut.begin(i);
    run.y = values(&y) + cut.begin(i);
    run_kernel(run);
  }
}

void affine_backward(const AffineBackward& pass) {
  const Cut cut(*pass.dy);
  const bool by_x = pass.slopes[1] != nullptr;
  const BackwardKernels kernels =
      cut.block == 16
          ? pass.affine.relu ? backward_kernels<16, true>(by_x) : backward_kernels<16, false>(by_x)
      : pass.affine.relu ? backward_kernels<8, true>(by_x)
                         : backward_kernels<8, false>(by_x);
  const bool summed = pass.sums != nullptr;
  // Of each image, so that the sums do not depend on the number of threads.
  const size_t count = summed ? static_cast<size_t>(cut.images) * cut.channels : 0;
  std::vector<double> products(count), sums(count);
#pragma omp parallel for
  for (int i = 0; i < cut.rows(); ++i) {
    const size_t at = static_cast<size_t>(i) * cut.block;
    backward_row(pass, kernels, cut, i, summed ? &products[at] : nullptr,
                 summed ? &sums[at] : nullptr);
  }
  for (int c = 0; summed && c < cut.channels; ++c) {
    pass.products[c] = pass.sums[c] = 0;
    for (int n = 0; n < cut.images; ++n) {
      pass.products[c] += products[static_cast<size_t>(n) * cut.channels + c];
      pass.sums[c] += sums[static_cast<size_t>(n) * cut.channels + c];
    }
  }
}

}  // namespace onednn
}  // namespace caffe
