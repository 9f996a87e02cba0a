// Products of matrices on a GPU in each math mode. Skipped where there is no GPU.

#include "caffe/util/mixed_gemm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_mode.hpp"
#include "caffe/util/reorder_count.hpp"
#include "fixtures.hpp"
#include "kernels/half.hpp"
#include "must_differ.hpp"

namespace caffe {
namespace {

/// A matrix on the GPU.
struct Matrix {
  int rows, columns;
  Blob<float> blob;
  Matrix(int rows, int columns, int seed, float size = 1) : rows(rows), columns(columns) {
    blob.Reshape({rows, columns});
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-size, size);
    for (int i = 0; i < blob.count(); ++i) blob.mutable_cpu_data()[i] = uniform(random);
  }
  double at(int r, int c, bool transposed) const {
    return blob.cpu_data()[transposed ? c * columns + r : r * columns + c];
  }
};

struct Transposes {
  bool a, b;
  CBLAS_TRANSPOSE op(bool is) const { return is ? CblasTrans : CblasNoTrans; }
};

/// The largest relative error of a number stored in a mode. A GPU may cut off the bits
/// that TF32 lacks instead of rounding, which doubles it.
double unit(MathMode mode) {
  if (mode == MathMode::kTf32) return 1. / (kIsShadow ? 2048 : 1024);
  return mode == MathMode::kBf16 ? 1. / 256 : mode == MathMode::kFloat ? 0 : 1. / 2048;
}

class MixedGemmOnGpu : public GpuTest {
 protected:
  static void multiply(MathMode mode, Transposes t, int m, int n, int k, float alpha,
                       const Matrix& a, const Matrix& b, float beta, Matrix* c) {
    const MathModeScope scope(mode);
    caffe_gemm<float>(t.op(t.a), t.op(t.b), m, n, k, alpha, a.blob.gpu_data(), b.blob.gpu_data(),
                      beta, c->blob.mutable_gpu_data());
  }
};

/// Each operand is rounded once: the error of a product of two values is at most 2 u + u^2 of it,
/// and float adds k of them. Where the operands are not representable the result must differ from
/// float's, or the mode did nothing.
TEST_F(MixedGemmOnGpu, RoundsEachOperandOnce) {
  const int m = 37, n = 29, k = 65;
  for (const Transposes t :
       {Transposes{false, false}, {true, false}, {false, true}, {true, true}}) {
    const Matrix a(t.a ? k : m, t.a ? m : k, 1), b(t.b ? n : k, t.b ? k : n, 2);
    Matrix in_float(m, n, 3);
    const Matrix start(m, n, 3);
    multiply(MathMode::kFloat, t, m, n, k, 1.5f, a, b, 0.5f, &in_float);
    for (const MathMode mode : {MathMode::kTf32, MathMode::kFp16, MathMode::kBf16}) {
      SCOPED_TRACE(math_mode_name(mode));
      if (!why_no_math_mode(mode).empty()) continue;  // a GPU before Ampere
      Matrix c(m, n, 3);
      multiply(mode, t, m, n, k, 1.5f, a, b, 0.5f, &c);
      const double u = unit(mode), of_float = k * std::ldexp(1., -24);
      double difference = 0, allowed = 0;
      for (int i = 0; i < m; ++i) {
        for (int j = 0; j < n; ++j) {
          double exact = 0.5 * start.at(i, j, false), size = std::abs(exact);
          for (int p = 0; p < k; ++p) {
            const double product = 1.5 * a.at(i, p, t.a) * b.at(p, j, t.b);
            exact += product;
            size += std::abs(product);
          }
          const double bound = (2 * u + u * u + of_float) * size + 1e-6;
          ASSERT_NEAR(c.at(i, j, false), exact, bound) << i << ", " << j;
          difference += std::abs(c.at(i, j, false) - in_float.at(i, j, false));
          allowed += bound;
        }
      }
      if (must_differ(mode)) {
        EXPECT_GT(difference, allowed / 200);
      }
    }
  }
}

/// What 16 bits can say is computed without an error.
TEST_F(MixedGemmOnGpu, IsExactForSmallIntegers) {
  const Transposes t = {false, true};
  Matrix a(5, 4, 1), b(3, 4, 2), c(5, 3, 3);
  for (int i = 0; i < 20; ++i) a.blob.mutable_cpu_data()[i] = static_cast<float>(i % 7 - 3);
  for (int i = 0; i < 12; ++i) b.blob.mutable_cpu_data()[i] = static_cast<float>(i % 5 - 2);
  for (const MathMode mode : {MathMode::kTf32, MathMode::kFp16, MathMode::kBf16}) {
    if (!why_no_math_mode(mode).empty()) continue;
    multiply(mode, t, 5, 3, 4, 1, a, b, 0, &c);
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 3; ++j) {
        double exact = 0;
        for (int p = 0; p < 4; ++p) exact += a.at(i, p, false) * b.at(p, j, true);
        EXPECT_EQ(c.at(i, j, false), exact);
      }
    }
  }
}

/// The sums are float: they hold what would be infinite as Float16.
TEST_F(MixedGemmOnGpu, AddsInFloat) {
  const Transposes t = {false, false};
  Matrix a(1, 64, 1), b(64, 1, 2), c(1, 1, 3);
  for (int i = 0; i < 64; ++i) {
    a.blob.mutable_cpu_data()[i] = 2048;
    b.blob.mutable_cpu_data()[i] = 512;
  }
  multiply(MathMode::kFp16, t, 1, 1, 64, 1, a, b, 0, &c);
  EXPECT_EQ(c.at(0, 0, false), 64. * 2048 * 512);
}

TEST_F(MixedGemmOnGpu, MakesWhatFloat16CannotHoldInfinite) {
  const Transposes t = {false, false};
  Matrix a(1, 1, 1), b(1, 1, 2), c(1, 1, 3);
  a.blob.mutable_cpu_data()[0] = 70000;
  b.blob.mutable_cpu_data()[0] = 1;
  multiply(MathMode::kFp16, t, 1, 1, 1, 1, a, b, 0, &c);
  EXPECT_TRUE(std::isinf(c.at(0, 0, false)));
  if (why_no_math_mode(MathMode::kBf16).empty()) {
    multiply(MathMode::kBf16, t, 1, 1, 1, 1, a, b, 0, &c);
    EXPECT_NEAR(c.at(0, 0, false), 70000, 70000. / 256);
  }
  multiply(MathMode::kTf32, t, 1, 1, 1, 1, a, b, 0, &c);
  EXPECT_NEAR(c.at(0, 0, false), 70000, 70000 * unit(MathMode::kTf32));
}

TEST_F(MixedGemmOnGpu, LeavesDoublesAndEmptyMatricesAlone) {
  const MathModeScope scope(MathMode::kFp16);
  Blob<double> a(std::vector<int>{1}), c(std::vector<int>{1});
  a.mutable_cpu_data()[0] = 1 + 1e-9;
  caffe_gemm<double>(CblasNoTrans, CblasNoTrans, 1, 1, 1, 1., a.gpu_data(), a.gpu_data(), 0.,
                     c.mutable_gpu_data());
  EXPECT_EQ(c.cpu_data()[0], a.cpu_data()[0] * a.cpu_data()[0]);
  Matrix f(2, 2, 1);
  const double before = f.at(1, 1, false);
  caffe_gemm<float>(CblasNoTrans, CblasNoTrans, 2, 2, 0, 1, f.blob.gpu_data(), f.blob.gpu_data(), 2,
                    f.blob.mutable_gpu_data());
  EXPECT_FLOAT_EQ(f.at(1, 1, false), 2 * before);
  caffe_gemm<float>(CblasNoTrans, CblasNoTrans, 0, 2, 2, 1, nullptr, f.blob.gpu_data(), 2, nullptr);
  caffe_gemm<float>(CblasNoTrans, CblasNoTrans, 2, 0, 2, 1, f.blob.gpu_data(), nullptr, 2, nullptr);
}

TEST_F(MixedGemmOnGpu, KeepsWhatItMakesOfWeights) {
  const Transposes t = {false, true};
  const Matrix a(5, 7, 1);
  for (const MathMode mode :
       {MathMode::kFloat, MathMode::kTf32, MathMode::kFp16, MathMode::kBf16}) {
    if (!why_no_math_mode(mode).empty()) continue;
    SCOPED_TRACE(math_mode_name(mode));
    const int conversions = mode == MathMode::kFp16 || mode == MathMode::kBf16 ? 1 : 0;
    Matrix weights(4, 7, 2), expected(5, 4, 3), found(5, 4, 4);
    const auto compare = [&] {
      multiply(mode, t, 5, 4, 7, 1, a, weights, 0, &expected);
      const MathModeScope scope(mode);
      multiply_by_weights<float>(CblasTrans, 5, 4, 7, a.blob.gpu_data(), weights.blob,
                                 found.blob.mutable_gpu_data());
      for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(found.blob.cpu_data()[i], expected.blob.cpu_data()[i]) << i;
      }
    };
    const int64_t before = reorder_count();
    compare();
    compare();
    EXPECT_EQ(reorder_count() - before, conversions);
    weights.blob.mutable_cpu_data()[3] = 100;
    compare();
    caffe_gpu_scal(28, 2.f, weights.blob.mutable_gpu_data());
    compare();
    EXPECT_EQ(reorder_count() - before, 3 * conversions);
  }
}

TEST_F(MixedGemmOnGpu, ConvertsValues) {
  Blob<float> from(std::vector<int>{1000}), back(std::vector<int>{1000});
  for (int i = 0; i < 1000; ++i) from.mutable_cpu_data()[i] = 0.37f * i - 100;
  for (const ValueType type : {ValueType::kFloat16, ValueType::kBfloat16, ValueType::kFloat}) {
    const std::shared_ptr<void> memory(device::allocate(4000), device::release);
    convert_values(1000, ValueType::kFloat, from.gpu_data(), type, memory.get());
    convert_values(1000, type, memory.get(), ValueType::kFloat, back.mutable_gpu_data());
    for (int i = 0; i < 1000; ++i) {
      const float value = from.cpu_data()[i];
      const float expected = type == ValueType::kFloat16    ? float(Float16(value))
                             : type == ValueType::kBfloat16 ? float(Bfloat16(value))
                                                            : value;
      ASSERT_EQ(back.cpu_data()[i], expected) << name_of(type);
    }
  }
  EXPECT_ERROR(convert_values(1, ValueType::kDouble, nullptr, ValueType::kFloat, nullptr),
               "from double");
}

}  // namespace
}  // namespace caffe
