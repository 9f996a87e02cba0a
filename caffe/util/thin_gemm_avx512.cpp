#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define CAFFE_THIN __attribute__((target("avx512f")))

#include "caffe/util/thin_gemm.hpp"

namespace caffe {
namespace thin {
namespace {

struct Vec {
  using Register = __m512;
  using Lanes = __mmask16;
  static constexpr int kLanes = 16;

  CAFFE_THIN static inline Register zero() { return _mm512_setzero_ps(); }
  CAFFE_THIN static inline Register all(float value) { return _mm512_set1_ps(value); }
  CAFFE_THIN static inline Register load(const float* from) { return _mm512_loadu_ps(from); }
  CAFFE_THIN static inline void store(float* to, Register x) { _mm512_storeu_ps(to, x); }
  CAFFE_THIN static inline Register add(Register x, Register y) { return _mm512_add_ps(x, y); }
  CAFFE_THIN static inline Register multiply(Register x, Register y) { return _mm512_mul_ps(x, y); }
  CAFFE_THIN static inline Register fma(Register x, Register y, Register z) {
    return _mm512_fmadd_ps(x, y, z);
  }
  CAFFE_THIN static inline Lanes first_lanes(int count) {
    return static_cast<Lanes>(count >= kLanes ? 0xffff : (1 << count) - 1);
  }
  CAFFE_THIN static inline Register load(Lanes lanes, const float* from) {
    return _mm512_maskz_loadu_ps(lanes, from);
  }
  CAFFE_THIN static inline void store(Lanes lanes, float* to, Register x) {
    _mm512_mask_storeu_ps(to, lanes, x);
  }
};

// 32 registers.
constexpr int kSums = 24;
constexpr int kFewImages = 4;
// More are slower: rows 4096 bytes apart share cache sets.
constexpr int kFewDotRows = 10, kDotRows = 10;
constexpr int kRows = 8;
constexpr int kVectors = 2;
constexpr int kSumValues = 8192, kImageValues = 16384;

}  // namespace
}  // namespace thin
}  // namespace caffe

#include "caffe/util/thin_gemm_kernels.hpp"

namespace caffe {
namespace thin {

const ThinKernels kAvx512 = {"AVX-512", gemm_nt, gemm_nn, gemm_tn};

}  // namespace thin
}  // namespace caffe

#endif
