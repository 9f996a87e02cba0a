#include "caffe/util/thin_gemm.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "caffe/util/cpu_isa.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define CAFFE_AVX512 __attribute__((target("avx512f")))
#endif

namespace caffe {

#ifdef CAFFE_AVX512

namespace {

constexpr int kImages = 32;            // the most: two vectors
constexpr int64_t kWorthIt = 1 << 16;  // values of the large matrix

/// A buffer aligned to 64 bytes, kept from call to call.
class Workspace {
 public:
  float* get(size_t count) {
    if (values_.size() < count + kImages) values_.resize(count + kImages);
    const uintptr_t address = reinterpret_cast<uintptr_t>(values_.data());
    return reinterpret_cast<float*>((address + 63) / 64 * 64);
  }

 private:
  std::vector<float> values_;
};

Workspace& workspace() {
  static thread_local Workspace mine;
  return mine;
}

CAFFE_AVX512 inline __mmask16 first_lanes(int count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : (1 << count) - 1);
}

// ---- C (M x N) = A (M x K) B^T, B (N x K) large

// A is laid out as columns of 16 kVectors values, so that a value of B is multiplied with all
// images at once.

/// sums[r] += sum over k of rows[r][k] columns[k], for kRows rows of B.
template <int kRows, int kVectors>
CAFFE_AVX512 inline void add_dots(const float* rows, int64_t stride, const float* columns,
                                  int count, __m512 (*sums)[kVectors]) {
  constexpr int kAhead = 256;
  __m512 partial[kRows][kVectors];
#pragma GCC unroll 32
  for (int i = 0; i < kRows * kVectors; ++i)
    partial[i / kVectors][i % kVectors] = _mm512_setzero_ps();
  for (int start = 0; start < count; start += 16) {
    for (int r = 0; r < kRows; ++r) {
      _mm_prefetch(reinterpret_cast<const char*>(rows + r * stride + start + kAhead), _MM_HINT_T0);
    }
    const int end = std::min(start + 16, count);
    for (int k = start; k < end; ++k) {
      __m512 column[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        column[v] = _mm512_load_ps(columns + 16 * (size_t(kVectors) * k + v));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const __m512 value = _mm512_set1_ps(rows[r * stride + k]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          partial[r][v] = _mm512_fmadd_ps(value, column[v], partial[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < kRows * kVectors; ++i) {
    sums[i / kVectors][i % kVectors] =
        _mm512_add_ps(sums[i / kVectors][i % kVectors], partial[i / kVectors][i % kVectors]);
  }
}

/// Computes kRows columns of C, starting at n0.
template <int kRows, int kVectors>
CAFFE_AVX512 void dot_rows(int M, int N, int K, float alpha, const float* columns, const float* B,
                           float beta, float* C, int n0) {
  // Sums of partial sums: in a single chain of 9216 additions a float loses digits. The parts also
  // stay in the cache.
  constexpr int kPart = 1024;
  __m512 sums[kRows][kVectors];
  for (int i = 0; i < kRows * kVectors; ++i) sums[i / kVectors][i % kVectors] = _mm512_setzero_ps();
  for (int k = 0; k < K; k += kPart) {
    add_dots<kRows, kVectors>(B + int64_t(n0) * K + k, K, columns + size_t(16 * kVectors) * k,
                              std::min(kPart, K - k), sums);
  }
  for (int r = 0; r < kRows; ++r) {
    alignas(64) float values[16 * kVectors];
    for (int v = 0; v < kVectors; ++v) _mm512_store_ps(values + 16 * v, sums[r][v]);
    for (int m = 0; m < M; ++m) {
      float* const c = C + int64_t(m) * N + n0 + r;
      *c = alpha * values[m] + (beta == 0.f ? 0.f : beta * *c);
    }
  }
}

template <int kVectors>
CAFFE_AVX512 void gemm_nt(int M, int N, int K, float alpha, const float* A, const float* B,
                          float beta, float* C) {
  constexpr int kRows = 10;  // more are slower: rows 4096 bytes apart share cache sets
  constexpr int kWidth = 16 * kVectors;
  float* const columns = workspace().get(size_t(kWidth) * K);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int k = 0; k < K; ++k) {
      float* const column = columns + size_t(kWidth) * k;
      for (int m = 0; m < kWidth; ++m) column[m] = m < M ? A[int64_t(m) * K + k] : 0.f;
    }
#pragma omp for schedule(static)
    for (int n = 0; n < N; n += kRows) {
      if (n + kRows <= N) {
        dot_rows<kRows, kVectors>(M, N, K, alpha, columns, B, beta, C, n);
      } else {
        for (int r = n; r < N; ++r) dot_rows<1, kVectors>(M, N, K, alpha, columns, B, beta, C, r);
      }
    }
  }
}

// ---- for the other two: coefficients in the order in which they are used, [rows / 8][M][8],
// padded with zeros, and strips of columns that stay in the first cache

constexpr int kGroup = 8;
constexpr int kStrip = 512;

/// `at(m, row)` for every row in [0, rows), times alpha.
template <typename At>
const float* pack(int M, int rows, float alpha, const At& at) {
  const int groups = (rows + kGroup - 1) / kGroup;
  float* const packed = workspace().get(size_t(groups) * M * kGroup);
  for (int group = 0; group < groups; ++group) {
    for (int m = 0; m < M; ++m) {
      for (int r = 0; r < kGroup; ++r) {
        const int row = group * kGroup + r;
        packed[(size_t(group) * M + m) * kGroup + r] = row < rows ? alpha * at(m, row) : 0.f;
      }
    }
  }
  return packed;
}

// ---- C (M x N) = A (M x K) B, B (K x N) large

/// sums[m][n] += coefficients[m][r] rows[r][n] for kRows rows of B and n in [0, width).
template <int kRows>
CAFFE_AVX512 inline void add_rows(int M, const float* coefficients, const float* rows,
                                  int64_t stride, int width, bool more, float* sums) {
  for (int n = 0; n < width; n += 16) {
    const __mmask16 lanes = first_lanes(width - n);
    __m512 row[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) row[r] = _mm512_maskz_loadu_ps(lanes, rows + r * stride + n);
    if (more) {
#pragma GCC unroll 16
      for (int r = kRows; r < 2 * kRows; ++r) {
        _mm_prefetch(reinterpret_cast<const char*>(rows + r * stride + n), _MM_HINT_T0);
      }
    }
    for (int m = 0; m < M; ++m) {
      __m512 sum = _mm512_load_ps(sums + m * kStrip + n);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        sum = _mm512_fmadd_ps(_mm512_set1_ps(coefficients[m * kGroup + r]), row[r], sum);
      }
      _mm512_store_ps(sums + m * kStrip + n, sum);
    }
  }
}

CAFFE_AVX512 void gemm_nn(int M, int N, int K, float alpha, const float* A, const float* B,
                          float beta, float* C) {
  const float* const packed =
      pack(M, K, alpha, [&](int m, int k) { return A[int64_t(m) * K + k]; });
#pragma omp parallel for schedule(static)
  for (int n = 0; n < N; n += kStrip) {
    const int width = std::min(kStrip, N - n);
    alignas(64) float sums[kImages * kStrip];
    std::fill_n(sums, M * kStrip, 0.f);
    for (int k = 0; k < K; k += kGroup) {
      const float* const rows = B + int64_t(k) * N + n;
      const float* const coefficients = packed + size_t(k) * M;
      if (k + kGroup <= K) {
        add_rows<kGroup>(M, coefficients, rows, N, width, k + 2 * kGroup <= K, sums);
      } else {
        for (int r = 0; r < K - k; ++r) {
          add_rows<1>(M, coefficients + r, rows + int64_t(r) * N, N, width, false, sums);
        }
      }
    }
    for (int m = 0; m < M; ++m) {
      float* const c = C + int64_t(m) * N + n;
      for (int i = 0; i < width; ++i) {
        c[i] = sums[m * kStrip + i] + (beta == 0.f ? 0.f : beta * c[i]);
      }
    }
  }
}

// ---- C (M x N) = A^T B, A (K x M), B (K x N), C large

/// c[r][n] = beta c[r][n] + sum over k of coefficients[k][r] b[k][n] for kRows rows of C and 16
/// columns starting at n, or the first of these.
template <int kRows, bool kAll>
CAFFE_AVX512 inline void add_products(int K, const float* coefficients, const float* b,
                                      __mmask16 lanes, float beta, float* c, int64_t stride) {
  __m512 sums[kRows];
  if (beta == 0.f) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sums[r] = _mm512_setzero_ps();
  } else {
    const __m512 factor = _mm512_set1_ps(beta);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const float* const from = c + r * stride;
      sums[r] =
          _mm512_mul_ps(factor, kAll ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(lanes, from));
    }
  }
  for (int k = 0; k < K; ++k) {
    const __m512 row = _mm512_load_ps(b + k * kStrip);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(coefficients[k * kGroup + r]), row, sums[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    // Masked stores cost more than twice as much.
    if (kAll) {
      _mm512_storeu_ps(c + r * stride, sums[r]);
    } else {
      _mm512_mask_storeu_ps(c + r * stride, lanes, sums[r]);
    }
  }
}

template <int kRows>
CAFFE_AVX512 void add_products(int K, const float* coefficients, const float* b, int width,
                               float beta, float* c, int64_t stride) {
  int n = 0;
  for (; n + 16 <= width; n += 16) {
    add_products<kRows, true>(K, coefficients, b + n, 0, beta, c + n, stride);
  }
  if (n < width) {
    add_products<kRows, false>(K, coefficients, b + n, first_lanes(width - n), beta, c + n, stride);
  }
}

CAFFE_AVX512 void gemm_tn(int M, int N, int K, float alpha, const float* A, const float* B,
                          float beta, float* C) {
  const float* const packed =
      pack(K, M, alpha, [&](int k, int m) { return A[int64_t(k) * M + m]; });
#pragma omp parallel for schedule(static)
  for (int n = 0; n < N; n += kStrip) {
    const int width = std::min(kStrip, N - n);
    alignas(64) float b[kImages * kStrip];
    std::fill_n(b, K * kStrip, 0.f);
    for (int k = 0; k < K; ++k) std::copy_n(B + int64_t(k) * N + n, width, b + k * kStrip);
    for (int m = 0; m < M; m += kGroup) {
      float* const c = C + int64_t(m) * N + n;
      const float* const coefficients = packed + size_t(m) * K;
      if (m + kGroup <= M) {
        add_products<kGroup>(K, coefficients, b, width, beta, c, N);
      } else {
        for (int r = 0; r < M - m; ++r) {
          add_products<1>(K, coefficients + r, b, width, beta, c + int64_t(r) * N, N);
        }
      }
    }
  }
}

}  // namespace

bool thin_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, float alpha,
               const float* A, const float* B, float beta, float* C) {
  if (!avx512_allowed()) return false;
  const bool few_rows = TransA == CblasNoTrans && M <= kImages && int64_t(N) * K >= kWorthIt;
  if (few_rows && TransB == CblasTrans) {
    (M <= 16 ? gemm_nt<1> : gemm_nt<2>)(M, N, K, alpha, A, B, beta, C);
  } else if (few_rows && M <= 24) {  // with more, the sums do not stay in the first cache
    gemm_nn(M, N, K, alpha, A, B, beta, C);
  } else if (TransA == CblasTrans && TransB == CblasNoTrans && K <= kImages &&
             int64_t(M) * N >= kWorthIt) {
    gemm_tn(M, N, K, alpha, A, B, beta, C);
  } else {
    return false;
  }
  return true;
}

#else

bool thin_gemm(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, float, const float*, const float*,
               float, float*) {
  return false;
}

#endif

}  // namespace caffe
