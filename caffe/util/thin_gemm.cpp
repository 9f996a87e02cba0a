#include "caffe/util/thin_gemm.hpp"

#include <cstddef>
#include <cstdint>

#include "caffe/util/cpu_isa.hpp"

namespace caffe {

namespace thin {

float* workspace(size_t count) {
  static thread_local std::vector<float> values;
  constexpr size_t kMargin = 64 / sizeof(float);
  if (values.size() < count + kMargin) values.resize(count + kMargin);
  const uintptr_t address = reinterpret_cast<uintptr_t>(values.data());
  return reinterpret_cast<float*>((address + 63) / 64 * 64);
}

}  // namespace thin

std::vector<const ThinKernels*> thin_kernels() {
  std::vector<const ThinKernels*> kernels;
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels.push_back(&thin::kAvx2);
  }
  if (__builtin_cpu_supports("avx512f")) kernels.push_back(&thin::kAvx512);
#endif
  return kernels;
}

const ThinKernels* chosen_thin_kernels() {
  static const ThinKernels* const chosen = []() -> const ThinKernels* {
    std::vector<const ThinKernels*> kernels = thin_kernels();
#if defined(__x86_64__) && defined(__GNUC__)
    if (!kernels.empty() && kernels.back() == &thin::kAvx512 && !avx512_allowed()) {
      kernels.pop_back();
    }
#endif
    return kernels.empty() ? nullptr : kernels.back();
  }();
  return chosen;
}

bool thin_gemm(const ThinKernels* kernels, CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M,
               int N, int K, float alpha, const float* A, const float* B, float beta, float* C) {
  constexpr int64_t kWorthIt = 1 << 16;  // values of the large matrix
  constexpr int64_t kCached = 1 << 20;   // values of the images that are read for each row of it
  if (kernels == nullptr || (TransA == CblasNoTrans ? M : K) > thin::kMostImages) return false;
  if (TransA == CblasNoTrans && int64_t(N) * K >= kWorthIt) {
    if (TransB == CblasTrans && int64_t(M) * K > kCached) return false;
    (TransB == CblasTrans ? kernels->nt : kernels->nn)(M, N, K, alpha, A, B, beta, C);
    return true;
  }
  if (TransA == CblasTrans && TransB == CblasNoTrans && int64_t(M) * N >= kWorthIt) {
    kernels->tn(M, N, K, alpha, A, B, beta, C);
    return true;
  }
  return false;
}

bool thin_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K, float alpha,
               const float* A, const float* B, float beta, float* C) {
  return thin_gemm(chosen_thin_kernels(), TransA, TransB, M, N, K, alpha, A, B, beta, C);
}

}  // namespace caffe
