#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

// Attributes, and not options of the compiler for this file: inline functions of other headers stay
// as they are in other files.
#define CAFFE_THIN __attribute__((target("avx2,fma")))

#include "caffe/util/thin_gemm.hpp"

namespace caffe {
namespace thin {
namespace {

struct Vec {
  using Register = __m256;
  using Lanes = __m256i;
  static constexpr int kLanes = 8;

  CAFFE_THIN static inline Register zero() { return _mm256_setzero_ps(); }
  CAFFE_THIN static inline Register all(float value) { return _mm256_set1_ps(value); }
  CAFFE_THIN static inline Register load(const float* from) { return _mm256_loadu_ps(from); }
  CAFFE_THIN static inline void store(float* to, Register x) { _mm256_storeu_ps(to, x); }
  CAFFE_THIN static inline Register add(Register x, Register y) { return _mm256_add_ps(x, y); }
  CAFFE_THIN static inline Register multiply(Register x, Register y) { return _mm256_mul_ps(x, y); }
  CAFFE_THIN static inline Register fma(Register x, Register y, Register z) {
    return _mm256_fmadd_ps(x, y, z);
  }
  CAFFE_THIN static inline Lanes first_lanes(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  CAFFE_THIN static inline Register load(Lanes lanes, const float* from) {
    return _mm256_maskload_ps(from, lanes);
  }
  CAFFE_THIN static inline void store(Lanes lanes, float* to, Register x) {
    _mm256_maskstore_ps(to, lanes, x);
  }
};

// 16 registers.
constexpr int kSums = 12;
constexpr int kFewImages = 4;
constexpr int kFewDotRows = 12, kDotRows = 6;
constexpr int kRows = 6;
constexpr int kVectors = 2;
constexpr int kSumValues = 6144, kImageValues = 6144;

}  // namespace
}  // namespace thin
}  // namespace caffe

#include "caffe/util/thin_gemm_kernels.hpp"

namespace caffe {
namespace thin {

const ThinKernels kAvx2 = {"AVX2", gemm_nt, gemm_nn, gemm_tn};

}  // namespace thin
}  // namespace caffe

#endif
