#ifndef CAFFE_UTIL_THIN_GEMM_KERNELS_HPP_
#define CAFFE_UTIL_THIN_GEMM_KERNELS_HPP_

// The three products of caffe/util/thin_gemm.hpp for one instruction set. A file that includes this
// has defined
//   CAFFE_THIN   the attribute of functions that use the instructions
//   Vec          a vector of floats
//   kSums        how many sums the registers hold beside other values
//   kFewImages   the most images with which dot products go along the rows of both matrices
//   kFewDotRows, kDotRows   rows of the large matrix at a time with more images: one vector, two
//   kRows, kVectors   rows of the large matrix and vectors of each row at a time, in the other two
//   kSumValues, kImageValues   values of all images that stay in the first cache there
// All is in an unnamed namespace: each file has its own.

#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "caffe/util/thin_gemm.hpp"

namespace caffe {
namespace thin {
namespace {

using Register = Vec::Register;
constexpr int kLanes = Vec::kLanes;
constexpr int kLine = 16;  // values of a cache line

CAFFE_THIN inline void prefetch(const float* address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);
}

inline float blend(float alpha, float sum, float beta, float old) {
  return alpha * sum + (beta == 0.f ? 0.f : beta * old);
}

// ---- C (M x N) = A (M x K) B^T, B (N x K) large, few images: vectors along K

/// Columns [n, n + kCount) of C.
template <int kCount, int kImages>
CAFFE_THIN void dot_along(int N, int K, float alpha, const float* A, const float* B, float beta,
                          float* C, int n) {
  constexpr int kAhead = 512;
  const float* const rows = B + int64_t(n) * K;
  Register sums[kCount][kImages];
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kImages; ++i) sums[i / kImages][i % kImages] = Vec::zero();
  int k = 0;
  for (; k + kLanes <= K; k += kLanes) {
    Register row[kCount];
#pragma GCC unroll 16
    for (int r = 0; r < kCount; ++r) {
      row[r] = Vec::load(rows + int64_t(r) * K + k);
      prefetch(rows + int64_t(r) * K + k + kAhead);
    }
#pragma GCC unroll 8
    for (int m = 0; m < kImages; ++m) {
      const Register image = Vec::load(A + int64_t(m) * K + k);
#pragma GCC unroll 16
      for (int r = 0; r < kCount; ++r) sums[r][m] = Vec::fma(row[r], image, sums[r][m]);
    }
  }
  if (k < K) {
    const Vec::Lanes lanes = Vec::first_lanes(K - k);
#pragma GCC unroll 8
    for (int m = 0; m < kImages; ++m) {
      const Register image = Vec::load(lanes, A + int64_t(m) * K + k);
#pragma GCC unroll 16
      for (int r = 0; r < kCount; ++r) {
        sums[r][m] = Vec::fma(Vec::load(lanes, rows + int64_t(r) * K + k), image, sums[r][m]);
      }
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kImages; ++i) {
    alignas(64) float lanes[kLanes];
    Vec::store(lanes, sums[i / kImages][i % kImages]);
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
    }
    float* const c = C + int64_t(i % kImages) * N + n + i / kImages;
    *c = blend(alpha, lanes[0], beta, *c);
  }
}

template <int kImages>
CAFFE_THIN void gemm_nt_few(int M, int N, int K, float alpha, const float* A, const float* B,
                            float beta, float* C) {
  if (M < kImages) {
    return gemm_nt_few<(kImages > 1 ? kImages - 1 : 1)>(M, N, K, alpha, A, B, beta, C);
  }
  constexpr int kCount = kSums / kImages < 8 ? kSums / kImages : 8;
#pragma omp parallel for schedule(static)
  for (int n = 0; n < N; n += kCount) {
    if (n + kCount <= N) {
      dot_along<kCount, kImages>(N, K, alpha, A, B, beta, C, n);
    } else {
      for (int r = n; r < N; ++r) dot_along<1, kImages>(N, K, alpha, A, B, beta, C, r);
    }
  }
}

// ---- the same with more images: vectors of images

// A is laid out as columns of kWidth values, for up to kWidth images at a time, so that a value of
// B is multiplied with all of them at once. A last block of few images has columns of kLanes.

constexpr int kWidth = 2 * kLanes;
constexpr int kBlocks = (kMostImages + kWidth - 1) / kWidth;

/// sums[r] += sum over k of rows[r][k] columns[k], for kCount rows of B. A function of its own:
/// inlined, GCC keeps addresses in vector registers and sums in memory.
template <int kCount, int kColumn>
CAFFE_THIN __attribute__((noinline)) void add_dots(const float* rows, int64_t stride,
                                                   const float* columns, int count, bool ahead,
                                                   float* sums) {
  constexpr int kAhead = 256;
  Register partial[kCount][kColumn];
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kColumn; ++i) partial[i / kColumn][i % kColumn] = Vec::zero();
  for (int start = 0; start < count; start += kLine) {
    if (ahead) {
      for (int r = 0; r < kCount; ++r) prefetch(rows + r * stride + start + kAhead);
    }
    const int end = std::min(start + kLine, count);
    for (int k = start; k < end; ++k) {
      Register column[kColumn];
#pragma GCC unroll 2
      for (int v = 0; v < kColumn; ++v) {
        column[v] = Vec::load(columns + kLanes * (size_t(kColumn) * k + v));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kCount; ++r) {
        const Register value = Vec::all(rows[r * stride + k]);
#pragma GCC unroll 2
        for (int v = 0; v < kColumn; ++v) {
          partial[r][v] = Vec::fma(value, column[v], partial[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kColumn; ++i) {
    float* const sum = sums + i / kColumn * kWidth + i % kColumn * kLanes;
    Vec::store(sum, Vec::add(Vec::load(sum), partial[i / kColumn][i % kColumn]));
  }
}

/// Columns [n, n + kCount) of C.
template <int kCount>
CAFFE_THIN void dot_rows(int M, int N, int K, float alpha, const float* columns, const float* B,
                         float beta, float* C, int n) {
  // Sums of partial sums: in a single chain of 9216 additions a float loses digits. With several
  // blocks of images, the part of B stays in the first cache.
  const int part = M > kWidth ? 512 : 1024;
  alignas(64) float sums[kBlocks][kCount][kWidth] = {};
  for (int k = 0; k < K; k += part) {
    const float* const rows = B + int64_t(n) * K + k;
    const int count = std::min(part, K - k);
    for (int m = 0, block = 0; m < M; m += kWidth, ++block) {
      const float* const first = columns + size_t(m) * K;
      float* const to = sums[block][0];
      if (M - m <= kLanes) {
        add_dots<kCount, 1>(rows, K, first + size_t(kLanes) * k, count, block == 0, to);
      } else {
        add_dots<kCount, 2>(rows, K, first + size_t(kWidth) * k, count, block == 0, to);
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int r = 0; r < kCount; ++r) {
      float* const c = C + int64_t(m) * N + n + r;
      *c = blend(alpha, sums[m / kWidth][r][m % kWidth], beta, *c);
    }
  }
}

/// Columns [n, n + kCount) of C for each n in [0, N), in groups of kCount.
template <int kCount>
CAFFE_THIN void dot_all_rows(int M, int N, int K, float alpha, const float* columns, const float* B,
                             float beta, float* C) {
#pragma omp for schedule(static)
  for (int n = 0; n < N; n += kCount) {
    if (n + kCount <= N) {
      dot_rows<kCount>(M, N, K, alpha, columns, B, beta, C, n);
    } else {
      for (int r = n; r < N; ++r) dot_rows<1>(M, N, K, alpha, columns, B, beta, C, r);
    }
  }
}

CAFFE_THIN void gemm_nt(int M, int N, int K, float alpha, const float* A, const float* B,
                        float beta, float* C) {
  if (M <= kFewImages) return gemm_nt_few<kFewImages>(M, N, K, alpha, A, B, beta, C);
  const int padded = (M + kLanes - 1) / kLanes * kLanes;
  float* const columns = workspace(size_t(padded) * K);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int k = 0; k < K; ++k) {
      for (int m = 0; m < padded; m += kWidth) {
        const int width = std::min(kWidth, padded - m);
        float* const column = columns + size_t(m) * K + size_t(width) * k;
        for (int i = 0; i < width; ++i) {
          column[i] = m + i < M ? A[int64_t(m + i) * K + k] : 0.f;
        }
      }
    }
    if (M <= kLanes) {
      dot_all_rows<kFewDotRows>(M, N, K, alpha, columns, B, beta, C);
    } else {
      dot_all_rows<kDotRows>(M, N, K, alpha, columns, B, beta, C);
    }
  }
}

// ---- for the other two: coefficients in the order in which they are used, [rows / kRows][M]
// [kRows], padded with zeros, and strips of columns whose values of all images stay in the first
// cache, as panels [strip / kPanel][images][kPanel]

constexpr int kStrip = 512;  // the most: the pieces of wider strips are far apart
constexpr int kPanel = kVectors * kLanes;

/// The width of the strips, in whole panels, if `values` values of all images stay in the cache.
/// Each thread has the same number of strips. Widths change no result.
inline int strip_width(int values, int images, int N) {
  const int most = std::min(values / images / kPanel * kPanel, kStrip);
  const int threads = omp_get_max_threads();
  const int strips = (N + most - 1) / most;
  const int even = (strips + threads - 1) / threads * threads;
  const int width = ((N + even - 1) / even + kPanel - 1) / kPanel * kPanel;
  return std::min(width, most);
}

/// alpha x `from`, row r of image m at from[m * image + r * row], for every row in [0, rows).
inline const float* pack(int M, int rows, float alpha, const float* from, int64_t image,
                         int64_t row) {
  const int groups = (rows + kRows - 1) / kRows;
  float* const packed = workspace(size_t(groups) * M * kRows);
#pragma omp parallel for schedule(static)
  for (int group = 0; group < groups; ++group) {
    for (int m = 0; m < M; ++m) {
      float* const to = packed + (size_t(group) * M + m) * kRows;
      for (int r = 0; r < kRows; ++r) {
        const int index = group * kRows + r;
        to[r] = index < rows ? alpha * from[m * image + index * row] : 0.f;
      }
    }
  }
  return packed;
}

// ---- C (M x N) = A (M x K) B, B (K x N) large

/// sums[m][v] += coefficients[m][r] rows[r][v] for kCount rows of B and kColumns vectors, or the
/// first lanes of one.
template <int kCount, int kColumns, bool kAll>
CAFFE_THIN inline void add_rows(int M, const float* coefficients, const float* rows, int64_t stride,
                                Vec::Lanes lanes, bool more, float* sums) {
  Register row[kCount][kColumns];
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kColumns; ++i) {
    const float* const from = rows + i / kColumns * stride + i % kColumns * kLanes;
    row[i / kColumns][i % kColumns] = kAll ? Vec::load(from) : Vec::load(lanes, from);
  }
  if (more) {
#pragma GCC unroll 16
    for (int r = 0; r < kCount; ++r) {
      for (int i = 0; i < kColumns * kLanes; i += kLine) prefetch(rows + (kCount + r) * stride + i);
    }
  }
  for (int m = 0; m < M; ++m) {
    float* const to = sums + m * kPanel;
    Register sum[kColumns];
#pragma GCC unroll 4
    for (int v = 0; v < kColumns; ++v) sum[v] = Vec::load(to + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kCount; ++r) {
      const Register factor = Vec::all(coefficients[m * kRows + r]);
#pragma GCC unroll 4
      for (int v = 0; v < kColumns; ++v) sum[v] = Vec::fma(factor, row[r][v], sum[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kColumns; ++v) Vec::store(to + v * kLanes, sum[v]);
  }
}

template <int kCount>
CAFFE_THIN void add_rows(int M, const float* coefficients, const float* rows, int64_t stride,
                         int width, bool more, float* sums) {
  const Vec::Lanes every = Vec::first_lanes(kLanes);
  int n = 0;
  for (; n + kPanel <= width; n += kPanel) {
    add_rows<kCount, kVectors, true>(M, coefficients, rows + n, stride, every, more, sums + n * M);
  }
  float* const last = sums + n * M;
  for (int i = 0; n + i < width; i += kLanes) {
    add_rows<kCount, 1, false>(M, coefficients, rows + n + i, stride,
                               Vec::first_lanes(width - n - i), more, last + i);
  }
}

CAFFE_THIN void gemm_nn(int M, int N, int K, float alpha, const float* A, const float* B,
                        float beta, float* C) {
  const float* const packed = pack(M, K, alpha, A, K, 1);
  const int strip = strip_width(kSumValues, M, N);
#pragma omp parallel for schedule(static)
  for (int n = 0; n < N; n += strip) {
    const int width = std::min(strip, N - n);
    alignas(64) float sums[kSumValues];
    std::fill_n(sums, M * strip, 0.f);
    for (int k = 0; k < K; k += kRows) {
      const float* const rows = B + int64_t(k) * N + n;
      const float* const coefficients = packed + size_t(k) * M;
      if (k + kRows <= K) {
        add_rows<kRows>(M, coefficients, rows, N, width, k + 2 * kRows <= K, sums);
      } else {
        for (int r = 0; r < K - k; ++r) {
          add_rows<1>(M, coefficients + r, rows + int64_t(r) * N, N, width, false, sums);
        }
      }
    }
    for (int m = 0; m < M; ++m) {
      float* const c = C + int64_t(m) * N + n;
      for (int i = 0; i < width; ++i) {
        c[i] = blend(1, sums[(i / kPanel * M + m) * kPanel + i % kPanel], beta, c[i]);
      }
    }
  }
}

// ---- C (M x N) = A^T B, A (K x M), B (K x N), C large

/// c[r][v] = beta c[r][v] + sum over k of coefficients[k][r] b[k][v] for kCount rows of C and
/// kColumns vectors, or the first lanes of one.
template <int kCount, int kColumns, bool kAll>
CAFFE_THIN inline void add_products(int K, const float* coefficients, const float* b,
                                    Vec::Lanes lanes, float beta, float* c, int64_t stride) {
  Register sums[kCount][kColumns];
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kColumns; ++i) {
    const float* const from = c + i / kColumns * stride + i % kColumns * kLanes;
    Register& sum = sums[i / kColumns][i % kColumns];
    if (beta == 0.f) {
      sum = Vec::zero();
    } else {
      sum = Vec::multiply(Vec::all(beta), kAll ? Vec::load(from) : Vec::load(lanes, from));
    }
  }
  for (int k = 0; k < K; ++k) {
    Register row[kColumns];
#pragma GCC unroll 4
    for (int v = 0; v < kColumns; ++v) row[v] = Vec::load(b + k * kPanel + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kCount; ++r) {
      const Register factor = Vec::all(coefficients[k * kRows + r]);
#pragma GCC unroll 4
      for (int v = 0; v < kColumns; ++v) sums[r][v] = Vec::fma(factor, row[v], sums[r][v]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < kCount * kColumns; ++i) {
    float* const to = c + i / kColumns * stride + i % kColumns * kLanes;
    const Register sum = sums[i / kColumns][i % kColumns];
    if (kAll) {
      Vec::store(to, sum);
    } else {  // costs more than twice as much
      Vec::store(lanes, to, sum);
    }
  }
}

template <int kCount>
CAFFE_THIN void add_products(int K, const float* coefficients, const float* b, int width,
                             float beta, float* c, int64_t stride) {
  const Vec::Lanes every = Vec::first_lanes(kLanes);
  int n = 0;
  for (; n + kPanel <= width; n += kPanel) {
    add_products<kCount, kVectors, true>(K, coefficients, b + n * K, every, beta, c + n, stride);
  }
  const float* const last = b + n * K;
  for (int i = 0; n + i < width; i += kLanes) {
    add_products<kCount, 1, false>(K, coefficients, last + i, Vec::first_lanes(width - n - i), beta,
                                   c + n + i, stride);
  }
}

CAFFE_THIN void gemm_tn(int M, int N, int K, float alpha, const float* A, const float* B,
                        float beta, float* C) {
  const float* const packed = pack(K, M, alpha, A, M, 1);
  const int strip = strip_width(kImageValues, K, N);
#pragma omp parallel for schedule(static)
  for (int n = 0; n < N; n += strip) {
    const int width = std::min(strip, N - n);
    alignas(64) float b[kImageValues];
    for (int k = 0; k < K; ++k) {
      const float* const from = B + int64_t(k) * N + n;
      for (int i = 0; i < strip; ++i) {
        b[(i / kPanel * K + k) * kPanel + i % kPanel] = i < width ? from[i] : 0.f;
      }
    }
    for (int m = 0; m < M; m += kRows) {
      float* const c = C + int64_t(m) * N + n;
      const float* const coefficients = packed + size_t(m) * K;
      if (m + kRows <= M) {
        add_products<kRows>(K, coefficients, b, width, beta, c, N);
      } else {
        for (int r = 0; r < M - m; ++r) {
          add_products<1>(K, coefficients + r, b, width, beta, c + int64_t(r) * N, N);
        }
      }
    }
  }
}

}  // namespace
}  // namespace thin
}  // namespace caffe

#endif  // CAFFE_UTIL_THIN_GEMM_KERNELS_HPP_
