// cuBLAS on the shadow device.

#include <cublas_v2.h>

#include <functional>

#include "kernels/half.hpp"
#include "shadow_test.hpp"

namespace {

class ShadowBlas : public ShadowTest {
 protected:
  void SetUp() override {
    ShadowTest::SetUp();
    ASSERT_EQ(CUBLAS_STATUS_SUCCESS, cublasCreate(&handle_));
  }
  void TearDown() override {
    cublasDestroy(handle_);
    ShadowTest::TearDown();
  }
  cublasHandle_t handle_ = nullptr;
};

TEST_F(ShadowBlas, ProductsAreColumnByColumn) {
  const OnDevice<float> a(std::vector<float>{1, 2, 3, 4, 5, 6});  // 2 x 3
  const OnDevice<float> x(std::vector<float>{1, 10, 100}), y(2), c(4);
  const float one = 1, none = 0;
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSgemv(handle_, CUBLAS_OP_N, 2, 3, &one, a.get(), 2,
                                               x.get(), 1, &none, y.get(), 1));
  EXPECT_EQ((std::vector<float>{531, 642}), y.values());
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_T, 2, 2, 3, &one,
                                               a.get(), 2, a.get(), 2, &none, c.get(), 2));
  EXPECT_EQ((std::vector<float>{35, 44, 44, 56}), c.values());
}

TEST_F(ShadowBlas, OperandsOf16BitsGiveFloats) {
  const OnDevice<maap::Float16> a(std::vector<maap::Float16>{1.5f, 2.f, 65504.f, -1.f});  // 2 x 2
  const OnDevice<float> b(std::vector<float>{1 + 1.f / 4096, 1}), c(2);
  const float one = 1, none = 0;
  const auto multiply = [&](const void* x, cudaDataType_t type, int rows, int columns,
                            const void* y, cudaDataType_t other, cublasComputeType_t compute) {
    return cublasGemmEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, rows, 1, columns, &one, x, type, rows, y,
                        other, columns, &none, c.get(), CUDA_R_32F, rows, compute,
                        CUBLAS_GEMM_DEFAULT);
  };
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS,
            multiply(a.get(), CUDA_R_16F, 2, 2, a.get(), CUDA_R_16F, CUBLAS_COMPUTE_32F));
  EXPECT_EQ((std::vector<float>{1.5f * 1.5f + 2 * 65504.f, 1.5f * 2 - 2}), c.values());
  EXPECT_EQ(CUBLAS_STATUS_NOT_SUPPORTED,
            multiply(a.get(), CUDA_R_16F, 2, 2, b.get(), CUDA_R_32F, CUBLAS_COMPUTE_32F));
  EXPECT_EQ(CUBLAS_STATUS_NOT_SUPPORTED,
            multiply(a.get(), CUDA_R_16F, 2, 2, a.get(), CUDA_R_16F, CUBLAS_COMPUTE_32F_FAST_TF32));
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS,
            multiply(b.get(), CUDA_R_32F, 1, 2, b.get(), CUDA_R_32F, CUBLAS_COMPUTE_32F));
  EXPECT_GT(c.values()[0], 2);
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS,
            multiply(b.get(), CUDA_R_32F, 1, 2, b.get(), CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32));
  EXPECT_EQ(c.values()[0], 2) << "TF32 has no 2^-12 behind 1";
}

TEST_F(ShadowBlas, AHandleMayRoundToTf32) {
  const OnDevice<float> b(std::vector<float>{1 + 1.f / 4096}), c(1);
  const float one = 1, none = 0;
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSetMathMode(handle_, CUBLAS_TF32_TENSOR_OP_MATH));
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one,
                                               b.get(), 1, b.get(), 1, &none, c.get(), 1));
  EXPECT_EQ(c.values()[0], 1);
}

TEST_F(ShadowBlas, ManyProductsInOneCall) {
  const OnDevice<double> a(std::vector<double>{1, 2, 3}), b(std::vector<double>{5, 7, 11}), c(3);
  const double two = 2, none = 0;
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS,
            cublasDgemmStridedBatched(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &two, a.get(), 1,
                                      1, b.get(), 1, 1, &none, c.get(), 1, 1, 3));
  EXPECT_EQ((std::vector<double>{10, 28, 66}), c.values());
}

TEST_F(ShadowBlas, FactorsOfTheHostAreReadDuringTheCall) {
  const OnDevice<float> x(std::vector<float>{3});
  float factor = 2;
  cublasSscal(handle_, 1, &factor, x.get(), 1);
  factor = 100;
  EXPECT_EQ(std::vector<float>{6}, x.values());
}

TEST_F(ShadowBlas, APointerModeSaysWhereResultsAre) {
  const OnDevice<float> x(std::vector<float>{3, -4}), result(std::vector<float>{0});
  float sum = 0;
  shadow::reset_counts();
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSasum(handle_, 2, x.get(), 1, &sum));
  EXPECT_EQ(7, sum);
  EXPECT_EQ(1, shadow::counts().synchronisations);
  cublasSetPointerMode(handle_, CUBLAS_POINTER_MODE_DEVICE);
  EXPECT_THROW(cublasSasum(handle_, 2, x.get(), 1, &sum), shadow::Fault);
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSdot(handle_, 2, x.get(), 1, x.get(), 1, result.get()));
  EXPECT_EQ(1, shadow::counts().synchronisations);
  EXPECT_EQ(std::vector<float>{25}, result.values());
  const OnDevice<float> factor(std::vector<float>{10});
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSaxpy(handle_, 2, factor.get(), x.get(), 1, x.get(), 1));
  EXPECT_EQ((std::vector<float>{33, -44}), x.values());
}

TEST_F(ShadowBlas, RunsInItsStream) {
  cudaStream_t stream = nullptr, found = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasSetStream(handle_, stream));
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, cublasGetStream(handle_, &found));
  EXPECT_EQ(stream, found);
  const OnDevice<float> x(std::vector<float>{3});
  cudaDeviceSynchronize();
  const float two = 2;
  cublasSscal(handle_, 1, &two, x.get(), 1);
  EXPECT_EQ(1, shadow::operations_waiting());
  cudaStreamSynchronize(stream);
  EXPECT_EQ(std::vector<float>{6}, x.values());
  cudaStreamDestroy(stream);
  EXPECT_EQ(CUBLAS_STATUS_EXECUTION_FAILED, cublasSscal(handle_, 1, &two, x.get(), 1));
}

TEST_F(ShadowBlas, ChecksMemoryAndSizes) {
  const OnDevice<float> a(6);
  std::vector<float> host(6);
  const float one = 1, none = 0;
  const auto product = [&](const float* left, int m, int lda) {
    return cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, m, 1, 3, &one, left, lda, a.get(), 3,
                       &none, a.get(), m);
  };
  EXPECT_EQ(CUBLAS_STATUS_SUCCESS, product(a.get(), 2, 2));
  EXPECT_EQ(CUBLAS_STATUS_INVALID_VALUE, product(a.get(), 2, 1));
  EXPECT_THROW(product(a.get(), 2, 3), shadow::Fault);  // its last column is past the end
  EXPECT_THROW(product(host.data(), 2, 2), shadow::Fault);
  EXPECT_EQ(CUBLAS_STATUS_NOT_INITIALIZED, cublasSscal(nullptr, 1, &one, a.get(), 1));
}

}  // namespace
