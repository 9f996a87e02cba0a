#include "caffe/util/bf16.hpp"

#include "caffe/util/cpu_isa.hpp"
#include "kernels/half.hpp"

namespace caffe {
namespace {

// Written once and compiled for the processor's baseline and for AVX-512, with the same results.
#define ALWAYS_INLINE inline __attribute__((always_inline))

ALWAYS_INLINE void widen_all(const Bf16* from, int64_t count, float* to) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = maap::internal::from_bfloat16(from[i]);
}

ALWAYS_INLINE void narrow_all(const float* from, int64_t count, Bf16* to) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = maap::internal::to_bfloat16(from[i]);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw"))) void widen_avx512(const Bf16* from, int64_t count,
                                                              float* to) {
  widen_all(from, count, to);
}
__attribute__((target("avx512f,avx512bw"))) void narrow_avx512(const float* from, int64_t count,
                                                               Bf16* to) {
  narrow_all(from, count, to);
}
bool has_avx512() {
  return avx512_allowed() && __builtin_cpu_supports("avx512bw");
}
#else
void widen_avx512(const Bf16* from, int64_t count, float* to) {
  widen_all(from, count, to);
}
void narrow_avx512(const float* from, int64_t count, Bf16* to) {
  narrow_all(from, count, to);
}
bool has_avx512() {
  return false;
}
#endif

}  // namespace

void widen(const Bf16* from, int64_t count, float* to) {
  has_avx512() ? widen_avx512(from, count, to) : widen_all(from, count, to);
}

void narrow(const float* from, int64_t count, Bf16* to) {
  has_avx512() ? narrow_avx512(from, count, to) : narrow_all(from, count, to);
}

}  // namespace caffe
