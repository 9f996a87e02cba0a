#include "caffe/util/math_functions.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "caffe/util/device.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

template <typename Dtype>
class MathTest : public ::testing::Test {
 protected:
  typedef vector<Dtype> Values;
  MathTest() { Caffe::set_random_seed(1701); }
  static Values random(int n, double low = -2, double high = 2) {
    Values values(n);
    caffe_rng_uniform(n, Dtype(low), Dtype(high), values.data());
    return values;
  }
  /// The expected result of the BLAS, with sums in double.
  static Values product(bool ta, bool tb, int m, int n, int k, double alpha, const Values& a,
                        const Values& b, double beta, const Values& c) {
    Values result(m * n);
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double sum = 0;
        for (int l = 0; l < k; ++l) {
          sum += double(ta ? a[l * m + i] : a[i * k + l]) * (tb ? b[j * k + l] : b[l * n + j]);
        }
        result[i * n + j] = Dtype(alpha * sum + (beta == 0 ? 0 : beta * c[i * n + j]));
      }
    }
    return result;
  }
  static void expect_near(const Values& got, const Values& wanted) {
    ASSERT_EQ(got.size(), wanted.size());
    const double tolerance = sizeof(Dtype) == 4 ? 1e-5 : 1e-13;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], wanted[i], tolerance * std::max(1.0, std::fabs(double(wanted[i])))) << i;
    }
  }
  /// a, b: the values of GPU memory x and y, z has room for as many.
  void expect_gpu_products(Dtype* x, Dtype* y, Dtype* z, const Values& a, const Values& b) {
    const int m = 5, n = 7, k = 3, count = static_cast<int>(a.size());
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        Values got(m * n);
        caffe_gpu_gemm(ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k,
                       Dtype(1.5), x, y, Dtype(0), z);
        device::copy(got.data(), z, got.size() * sizeof(Dtype));
        expect_near(got, product(ta, tb, m, n, k, 1.5, a, b, 0, got));
      }
      Values got(ta ? n : m);
      caffe_gpu_gemv(ta ? CblasTrans : CblasNoTrans, m, n, Dtype(1), x, y, Dtype(0), z);
      device::copy(got.data(), z, got.size() * sizeof(Dtype));
      expect_near(got, product(ta, false, ta ? n : m, 1, ta ? m : n, 1, a, b, 0, got));
    }
    Dtype got = 0;
    caffe_gpu_dot(count, x, y, &got);
    EXPECT_NEAR(got, caffe_cpu_dot(count, a.data(), b.data()), 0.1);
    caffe_gpu_asum(count, x, &got);
    EXPECT_NEAR(got, caffe_cpu_asum(count, a.data()), 1);
  }
  void expect_gpu_random_numbers(Dtype* memory) {
    const int n = 40001;
    Values first(n), again(n);
    for (Values* const values : {&first, &again}) {
      Caffe::set_random_seed(3);
      caffe_gpu_rng_gaussian(n, Dtype(1), Dtype(2), memory);
      device::copy(values->data(), memory, n * sizeof(Dtype));
    }
    EXPECT_EQ(first, again);
    double sum = 0, squares = 0;
    for (const Dtype v : first) {
      sum += v;
      squares += double(v) * v;
    }
    EXPECT_NEAR(sum / n, 1, 0.05);
    EXPECT_NEAR(squares / n, 5, 0.2);
    caffe_gpu_rng_uniform(n, Dtype(-1), Dtype(1), memory);
    device::copy(first.data(), memory, n * sizeof(Dtype));
    EXPECT_GE(*std::min_element(first.begin(), first.end()), -1);
    EXPECT_LT(*std::max_element(first.begin(), first.end()), 1);
  }
  /// Applies f to every element, through both `run` and std::transform; more elements than one
  /// thread's share.
  void expect_elementwise(void (*run)(int, const Dtype*, Dtype*), double (*f)(double), double low,
                          double high) {
    const Values x = random(40001, low, high);
    Values y(x.size()), wanted(x.size());
    run(static_cast<int>(x.size()), x.data(), y.data());
    for (size_t i = 0; i < x.size(); ++i) wanted[i] = Dtype(f(x[i]));
    expect_near(y, wanted);
  }
};
TYPED_TEST_SUITE(MathTest, Dtypes);

TYPED_TEST(MathTest, Gemm) {
  const int m = 5, n = 7, k = 3;
  const auto a = this->random(m * k), b = this->random(k * n), c = this->random(m * n);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      auto got = c;
      caffe_cpu_gemm(ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k,
                     TypeParam(1.5), a.data(), b.data(), TypeParam(-0.5), got.data());
      this->expect_near(got, this->product(ta, tb, m, n, k, 1.5, a, b, -0.5, c));
    }
  }
}

TYPED_TEST(MathTest, GemmWithBetaZeroDoesNotReadC) {
  const auto a = this->random(6), b = this->random(6);
  vector<TypeParam> got(4, std::numeric_limits<TypeParam>::quiet_NaN());
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, 2, 2, 3, TypeParam(1), a.data(), b.data(),
                 TypeParam(0), got.data());
  this->expect_near(got, this->product(false, false, 2, 2, 3, 1, a, b, 0, got));
}

TYPED_TEST(MathTest, GemmOfOneRowIsGemv) {
  const int n = 60, k = 40;
  const auto a = this->random(k), b = this->random(k * n);
  for (const bool tb : {false, true}) {
    for (const bool ta : {false, true}) {
      vector<TypeParam> row(n, std::numeric_limits<TypeParam>::quiet_NaN()), vector_of_gemv = row;
      caffe_cpu_gemm(ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, 1, n, k,
                     TypeParam(1), a.data(), b.data(), TypeParam(0), row.data());
      caffe_cpu_gemv(tb ? CblasNoTrans : CblasTrans, tb ? n : k, tb ? k : n, TypeParam(1), b.data(),
                     a.data(), TypeParam(0), vector_of_gemv.data());
      EXPECT_EQ(row, vector_of_gemv);
      this->expect_near(row, this->product(ta, tb, 1, n, k, 1, a, b, 0, row));
    }
  }
}

TYPED_TEST(MathTest, AxpyRoundsTheProduct) {
  const auto x = this->random(1000), start = this->random(1000);
  auto y = start, wanted = start;
  caffe_axpy(1000, TypeParam(0.3), x.data(), y.data());
  for (int i = 0; i < 1000; ++i) {
    const volatile TypeParam product = TypeParam(0.3) * x[i];
    wanted[i] = product + start[i];
  }
  EXPECT_EQ(y, wanted);
}

TYPED_TEST(MathTest, EmptyProducts) {
  vector<TypeParam> c = {1, 2, 3, 4};
  const TypeParam* none = nullptr;
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, 0, 2, 2, TypeParam(1), none, none, TypeParam(0),
                 c.data());
  EXPECT_EQ(c[0], TypeParam(1));
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, 2, 2, 0, TypeParam(1), none, none, TypeParam(2),
                 c.data());
  EXPECT_EQ(c, (vector<TypeParam>{2, 4, 6, 8}));
  caffe_cpu_gemv(CblasNoTrans, 2, 0, TypeParam(1), none, none, TypeParam(0), c.data());
  EXPECT_EQ(c, (vector<TypeParam>{0, 0, 6, 8}));
}

TYPED_TEST(MathTest, Gemv) {
  const int m = 4, n = 6;
  const auto a = this->random(m * n), x = this->random(n), z = this->random(m);
  auto y = this->random(m), w = this->random(n);
  const auto wanted = this->product(false, false, m, 1, n, 2, a, x, 0.5, y);
  caffe_cpu_gemv(CblasNoTrans, m, n, TypeParam(2), a.data(), x.data(), TypeParam(0.5), y.data());
  this->expect_near(y, wanted);
  const auto wanted_t = this->product(true, false, n, 1, m, 2, a, z, 0, w);
  caffe_cpu_gemv(CblasTrans, m, n, TypeParam(2), a.data(), z.data(), TypeParam(0), w.data());
  this->expect_near(w, wanted_t);
}

TYPED_TEST(MathTest, ProductsByMode) {
  const int m = 5, n = 7, k = 3;
  const auto a = this->random(m * k), b = this->random(k * n), x = this->random(k);
  vector<TypeParam> c(m * n), y(m);
  caffe_gemm(CblasNoTrans, CblasNoTrans, m, n, k, TypeParam(1), a.data(), b.data(), TypeParam(0),
             c.data());
  this->expect_near(c, this->product(false, false, m, n, k, 1, a, b, 0, c));
  caffe_gemv(CblasNoTrans, m, k, TypeParam(1), a.data(), x.data(), TypeParam(0), y.data());
  this->expect_near(y, this->product(false, false, m, 1, k, 1, a, x, 0, y));
  EXPECT_EQ(caffe_dot(3, x.data(), x.data()), caffe_cpu_dot(3, x.data(), x.data()));
  EXPECT_EQ(caffe_asum(3, x.data()), caffe_cpu_asum(3, x.data()));
}

TYPED_TEST(MathTest, VectorSums) {
  const vector<TypeParam> x = {1, -2, 3, -4}, start = {10, 20, 30, 40};
  auto y = start;
  caffe_axpy(4, TypeParam(2), x.data(), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{12, 16, 36, 32}));
  y = start;
  caffe_cpu_axpby(4, TypeParam(2), x.data(), TypeParam(0.5), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{7, 6, 21, 12}));
  y.assign(4, std::numeric_limits<TypeParam>::quiet_NaN());
  caffe_cpu_axpby(4, TypeParam(2), x.data(), TypeParam(0), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{2, -4, 6, -8}));
  caffe_scal(4, TypeParam(3), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{6, -12, 18, -24}));
  caffe_cpu_scale(4, TypeParam(-1), x.data(), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{-1, 2, -3, 4}));
  EXPECT_EQ(caffe_cpu_dot(4, x.data(), start.data()), TypeParam(-100));
  EXPECT_EQ(caffe_cpu_strided_dot(2, x.data(), 2, start.data(), 3), TypeParam(130));
  EXPECT_EQ(caffe_cpu_asum(4, x.data()), TypeParam(10));
}

TYPED_TEST(MathTest, ScalingWithZeroForgetsNaN) {
  vector<TypeParam> x(3, std::numeric_limits<TypeParam>::quiet_NaN());
  caffe_scal(3, TypeParam(0), x.data());
  EXPECT_EQ(x, (vector<TypeParam>{0, 0, 0}));
}

TYPED_TEST(MathTest, OfOneArray) {
  this->expect_elementwise(caffe_sqr, [](double v) { return v * v; }, -2, 2);
  this->expect_elementwise(caffe_sqrt, [](double v) { return std::sqrt(v); }, 0, 9);
  this->expect_elementwise(caffe_exp, [](double v) { return std::exp(v); }, -5, 5);
  this->expect_elementwise(caffe_log, [](double v) { return std::log(v); }, 0.1, 9);
  this->expect_elementwise(caffe_abs, [](double v) { return std::fabs(v); }, -2, 2);
  this->expect_elementwise(caffe_cpu_fabs, [](double v) { return std::fabs(v); }, -2, 2);
  this->expect_elementwise(caffe_cpu_sign, [](double v) { return v > 0 ? 1.0 : -1.0; }, -2, 2);
  this->expect_elementwise(caffe_cpu_sgnbit, [](double v) { return v < 0 ? 1.0 : 0.0; }, -2, 2);
}

TYPED_TEST(MathTest, SignsOfSpecialValues) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const vector<TypeParam> x = {TypeParam(0), TypeParam(-0.0), nan};
  vector<TypeParam> y(3);
  caffe_cpu_sign(3, x.data(), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{0, 0, 0}));
  caffe_cpu_sgnbit(2, x.data(), y.data());
  EXPECT_EQ(y[0], TypeParam(0));
  EXPECT_EQ(y[1], TypeParam(1));
  EXPECT_EQ(caffe_sign(TypeParam(-3)), -1);
  EXPECT_EQ(caffe_sign(TypeParam(3)), 1);
  EXPECT_EQ(caffe_sign(nan), 0);
}

TYPED_TEST(MathTest, OfTwoArraysAlsoInPlace) {
  const vector<TypeParam> a = {1, 2, 3}, b = {4, -5, 8};
  vector<TypeParam> y = a;
  caffe_add(3, y.data(), b.data(), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{5, -3, 11}));
  caffe_sub(3, a.data(), b.data(), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{-3, 7, -5}));
  caffe_mul(3, a.data(), b.data(), y.data());
  EXPECT_EQ(y, (vector<TypeParam>{4, -10, 24}));
  caffe_div(3, b.data(), a.data(), y.data());
  this->expect_near(y, {4, -2.5, TypeParam(8) / 3});
  caffe_powx(3, a.data(), TypeParam(3), y.data());
  this->expect_near(y, {1, 8, 27});
  caffe_add_scalar(3, TypeParam(0.5), y.data());
  this->expect_near(y, {1.5, 8.5, 27.5});
}

TYPED_TEST(MathTest, SetAndCopy) {
  vector<TypeParam> x(40001), y(40001, 1);
  caffe_set(40001, TypeParam(2.5), x.data());
  caffe_copy(40001, x.data(), y.data());
  EXPECT_EQ(x, y);
  EXPECT_EQ(x[40000], TypeParam(2.5));
  caffe_copy(0, x.data(), static_cast<TypeParam*>(nullptr));
  int ints[2] = {1, 2};
  caffe_set(2, 7, ints);
  EXPECT_EQ(ints[1], 7);
  caffe_memset(sizeof(ints), 0, ints);
  EXPECT_EQ(ints[0], 0);
}

TYPED_TEST(MathTest, GpuFunctionsAgreeWithTheCpu) {
  if (device::count() == 0) GTEST_SKIP() << "no GPU";
  const int n = 40001;
  const auto a = this->random(n), b = this->random(n, 1, 2);
  const size_t bytes = n * sizeof(TypeParam);
  TypeParam* memory[3];
  for (auto& block : memory) block = static_cast<TypeParam*>(device::allocate(bytes));
  device::copy(memory[0], a.data(), bytes);
  device::copy(memory[1], b.data(), bytes);
  vector<TypeParam> got(n), wanted(n);
  const auto check = [&](const char* name) {
    device::copy(got.data(), memory[2], bytes);
    SCOPED_TRACE(name);
    this->expect_near(got, wanted);
  };
  caffe_gpu_add(n, memory[0], memory[1], memory[2]);
  caffe_add(n, a.data(), b.data(), wanted.data());
  check("add");
  caffe_gpu_div(n, memory[0], memory[1], memory[2]);
  caffe_div(n, a.data(), b.data(), wanted.data());
  check("div");
  caffe_gpu_exp(n, memory[0], memory[2]);
  caffe_exp(n, a.data(), wanted.data());
  check("exp");
  caffe_gpu_log(n, memory[1], memory[2]);
  caffe_log(n, b.data(), wanted.data());
  check("log");
  caffe_gpu_powx(n, memory[1], TypeParam(2.5), memory[2]);
  caffe_powx(n, b.data(), TypeParam(2.5), wanted.data());
  check("powx");
  caffe_gpu_set(n, TypeParam(1.5), memory[2]);
  caffe_gpu_add_scalar(n, TypeParam(2), memory[2]);
  wanted.assign(n, TypeParam(3.5));
  check("set and add_scalar");
  this->expect_gpu_products(memory[0], memory[1], memory[2], a, b);
  this->expect_gpu_random_numbers(memory[0]);
  for (auto& block : memory) device::release(block);
}

TYPED_TEST(MathTest, GpuFunctionsWithoutGpuThrow) {
  if (device::count() > 0) GTEST_SKIP() << "there is a GPU";
  TypeParam x = 1;
  EXPECT_ERROR(caffe_gpu_add(1, &x, &x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_set(1, x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_gemm(CblasNoTrans, CblasNoTrans, 1, 1, 1, x, &x, &x, x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_gemv(CblasNoTrans, 1, 1, x, &x, &x, x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_axpy(1, x, &x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_axpby(1, x, &x, x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_scal(1, x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_scale(1, x, &x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_dot(1, &x, &x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_asum(1, &x, &x), "CUDA");
  TypeParam z = 2;
  EXPECT_ERROR(caffe_gpu_memcpy(sizeof(x), &z, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_memset(sizeof(x), 0, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_rng_uniform(1, x, x, &x), "CUDA");
  EXPECT_ERROR(caffe_gpu_rng_gaussian(1, x, x, &x), "CUDA");
  int i = 0;
  EXPECT_ERROR(caffe_gpu_rng_bernoulli(1, x, &i), "CUDA");
  EXPECT_EQ(x, TypeParam(1));
}

}  // namespace caffe
