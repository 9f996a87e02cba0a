#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
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

std::vector<float> product(const Case& c, float alpha, float beta, std::vector<float> start) {
  const auto a = random_values(size_t(c.m) * c.k, 1), b = random_values(size_t(c.n) * c.k, 2);
  caffe_cpu_gemm(c.a, c.b, c.m, c.n, c.k, alpha, a.data(), b.data(), beta, start.data());
  return start;
}

void expect_as_in_double(const Case& c, float alpha, float beta) {
  const auto a = wide(random_values(size_t(c.m) * c.k, 1));
  const auto b = wide(random_values(size_t(c.n) * c.k, 2));
  const auto start = random_values(size_t(c.m) * c.n, 3);
  std::vector<double> expected = wide(start);
  caffe_cpu_gemm<double>(c.a, c.b, c.m, c.n, c.k, alpha, a.data(), b.data(), beta, expected.data());
  const auto found = product(c, alpha, beta, start);
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    worst = std::max(worst, std::abs(found[i] - expected[i]));
  }
  EXPECT_LT(worst, 2e-6 * std::sqrt(c.k) * 10)
      << c.m << " x " << c.n << " x " << c.k << ", alpha " << alpha << ", beta " << beta;
}

}  // namespace

TEST(ThinGemm, AgreesWithDouble) {
  // Rows, columns and images that fill their groups and that do not; more images than the code
  // takes.
  for (const int images : {1, 2, 15, 16, 17, 24, 25, 32, 33}) {
    for (const Case& c : cases_of(images, 300, 1040)) expect_as_in_double(c, 1, 0);
    for (const Case& c : cases_of(images, 203, 1037)) expect_as_in_double(c, 1, 1);
  }
  for (const Case& c : cases_of(5, 1, 70000)) expect_as_in_double(c, 0.5f, -2);
  for (const Case& c : cases_of(5, 70001, 1)) expect_as_in_double(c, 0.5f, -2);
  for (const Case& c : cases_of(7, 2051, 513)) expect_as_in_double(c, -1.5f, 0.25f);
}

TEST(ThinGemm, WithBetaZeroDoesNotReadTheResult) {
  for (const int images : {3, 30, 60}) {  // by this code and by others
    for (const Case& c : cases_of(images, 203, 1037)) {
      const std::vector<float> nan(size_t(c.m) * c.n, std::numeric_limits<float>::quiet_NaN());
      for (const float value : product(c, 1, 0, nan)) ASSERT_FALSE(std::isnan(value));
    }
  }
}

TEST(ThinGemm, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = omp_get_max_threads();
  for (const Case& c : cases_of(9, 530, 1537)) {
    std::vector<float> a = random_values(size_t(c.m) * c.k, 1),
                       b = random_values(size_t(c.n) * c.k, 2);
    std::vector<float> first(size_t(c.m) * c.n), again(first.size());
    omp_set_num_threads(1);
    if (!thin_gemm(c.a, c.b, c.m, c.n, c.k, 1, a.data(), b.data(), 0, first.data())) break;
    omp_set_num_threads(3);
    thin_gemm(c.a, c.b, c.m, c.n, c.k, 1, a.data(), b.data(), 0, again.data());
    EXPECT_EQ(first, again);
  }
  omp_set_num_threads(threads);
}

TEST(ThinGemm, LeavesSmallProductsToOthers) {
  const std::vector<float> a(64, 1), b(64, 1);
  std::vector<float> c(64, 5);
  EXPECT_FALSE(thin_gemm(CblasNoTrans, CblasTrans, 8, 8, 8, 1, a.data(), b.data(), 0, c.data()));
  EXPECT_EQ(c[0], 5);
}

}  // namespace caffe
