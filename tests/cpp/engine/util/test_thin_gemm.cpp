#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/thin_gemm.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

namespace {

std::vector<float> random_values(size_t count, int seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

std::vector<double> wide(const std::vector<float>& values) {
  return std::vector<double>(values.begin(), values.end());
}

struct Case {
  CBLAS_TRANSPOSE a, b;
  int m, n, k;
};

/// The three products of a fully connected layer of `images` images.
std::vector<Case> cases_of(int images, int outputs, int inputs) {
  return {{CblasNoTrans, CblasTrans, images, outputs, inputs},
          {CblasNoTrans, CblasNoTrans, images, inputs, outputs},
          {CblasTrans, CblasNoTrans, outputs, inputs, images}};
}

bool multiply(const ThinKernels* kernels, const Case& c, float alpha, float beta,
              std::vector<float>* result) {
  const auto a = random_values(size_t(c.m) * c.k, 1), b = random_values(size_t(c.n) * c.k, 2);
  return thin_gemm(kernels, c.a, c.b, c.m, c.n, c.k, alpha, a.data(), b.data(), beta,
                   result->data());
}

/// By caffe_cpu_gemm, whatever it chooses.
std::vector<float> product(const Case& c, float alpha, float beta, std::vector<float> start) {
  const auto a = random_values(size_t(c.m) * c.k, 1), b = random_values(size_t(c.n) * c.k, 2);
  caffe_cpu_gemm(c.a, c.b, c.m, c.n, c.k, alpha, a.data(), b.data(), beta, start.data());
  return start;
}

/// By caffe_cpu_gemm and by the kernels of every instruction set that the processor has.
void expect_as_in_double(const Case& c, float alpha, float beta) {
  const auto a = wide(random_values(size_t(c.m) * c.k, 1));
  const auto b = wide(random_values(size_t(c.n) * c.k, 2));
  const auto start = random_values(size_t(c.m) * c.n, 3);
  std::vector<double> expected = wide(start);
  caffe_cpu_gemm<double>(c.a, c.b, c.m, c.n, c.k, alpha, a.data(), b.data(), beta, expected.data());
  const auto compare = [&](const std::vector<float>& found, const char* by) {
    double worst = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      worst = std::max(worst, std::abs(found[i] - expected[i]));
    }
    EXPECT_LT(worst, 2e-6 * std::sqrt(c.k) * 10) << by << ", " << c.m << " x " << c.n << " x "
                                                 << c.k << ", alpha " << alpha << ", beta " << beta;
  };
  compare(product(c, alpha, beta, start), "caffe_cpu_gemm");
  for (const ThinKernels* const kernels : thin_kernels()) {
    std::vector<float> result = start;
    if (multiply(kernels, c, alpha, beta, &result)) compare(result, kernels->isa);
  }
}

/// Sizes that fill groups of rows, vectors and strips, and sizes that do not.
const std::vector<int> kImages = {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 24, 25, 32, 33, 47, 64, 65};

}  // namespace

TEST(ThinGemm, AgreesWithDouble) {
  for (const int images : kImages) {
    for (const Case& c : cases_of(images, 300, 1040)) expect_as_in_double(c, 1, 0);
    for (const Case& c : cases_of(images, 203, 1037)) expect_as_in_double(c, 1, 1);
  }
  for (const Case& c : cases_of(5, 1, 70000)) expect_as_in_double(c, 0.5f, -2);
  for (const Case& c : cases_of(5, 70001, 1)) expect_as_in_double(c, 0.5f, -2);
  for (const Case& c : cases_of(7, 2051, 513)) expect_as_in_double(c, -1.5f, 0.25f);
  for (const Case& c : cases_of(3, 2051, 513)) expect_as_in_double(c, -1.5f, 0.25f);
}

TEST(ThinGemm, HasKernelsForThisProcessor) {
  std::vector<std::string> expected;
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) expected.push_back("AVX2");
  if (__builtin_cpu_supports("avx512f")) expected.push_back("AVX-512");
#endif
  std::vector<std::string> found;
  for (const ThinKernels* const kernels : thin_kernels()) found.push_back(kernels->isa);
  EXPECT_EQ(found, expected);
  // Each takes the products of a few images, and leaves those of many to the BLAS.
  for (const ThinKernels* const kernels : thin_kernels()) {
    for (const bool few : {true, false}) {
      for (const Case& c : cases_of(few ? 16 : 256, 300, 1040)) {
        std::vector<float> result(size_t(c.m) * c.n);
        EXPECT_EQ(multiply(kernels, c, 1, 0, &result), few) << kernels->isa;
      }
    }
  }
}

TEST(ThinGemm, WithBetaZeroDoesNotReadTheResult) {
  for (const int images : {3, 16, 30, 60, 70}) {  // by this code and by others
    for (const Case& c : cases_of(images, 203, 1037)) {
      std::vector<float> nan(size_t(c.m) * c.n, std::numeric_limits<float>::quiet_NaN());
      for (const float value : product(c, 1, 0, nan)) ASSERT_FALSE(std::isnan(value));
      for (const ThinKernels* const kernels : thin_kernels()) {
        std::vector<float> result = nan;
        if (!multiply(kernels, c, 1, 0, &result)) continue;
        for (const float value : result) ASSERT_FALSE(std::isnan(value)) << kernels->isa;
      }
    }
  }
}

TEST(ThinGemm, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = omp_get_max_threads();
  for (const ThinKernels* const kernels : thin_kernels()) {
    for (const int images : {3, 9, 40}) {
      for (const Case& c : cases_of(images, 530, 1537)) {
        std::vector<float> first = random_values(size_t(c.m) * c.n, 3), again = first;
        omp_set_num_threads(1);
        if (!multiply(kernels, c, 1, 1, &first)) continue;
        for (const int other : {2, 3, 7}) {
          std::vector<float> result = again;
          omp_set_num_threads(other);
          EXPECT_TRUE(multiply(kernels, c, 1, 1, &result));
          EXPECT_EQ(first, result) << kernels->isa << ", " << other << " threads";
        }
      }
    }
  }
  omp_set_num_threads(threads);
}

TEST(ThinGemm, LeavesSmallProductsToOthers) {
  const std::vector<float> a(64, 1), b(64, 1);
  std::vector<float> c(64, 5);
  EXPECT_FALSE(thin_gemm(CblasNoTrans, CblasTrans, 8, 8, 8, 1, a.data(), b.data(), 0, c.data()));
  EXPECT_EQ(c[0], 5);
}

TEST(ThinGemm, LeavesRowsThatDoNotStayInTheCacheToOthers) {
  const int images = 64, inputs = 16400;
  const std::vector<float> a(size_t(images) * inputs, 1), b(size_t(4) * inputs, 1);
  std::vector<float> c(images * 4, 5);
  EXPECT_FALSE(
      thin_gemm(CblasNoTrans, CblasTrans, images, 4, inputs, 1, a.data(), b.data(), 0, c.data()));
  EXPECT_EQ(c[0], 5);
}

}  // namespace caffe
