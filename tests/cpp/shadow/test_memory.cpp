// The memory of the shadow device: who may touch it, what new memory holds, what is checked.

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/shadow/control.hpp"

namespace {

float* allocate(int count) {
  float* memory = nullptr;
  EXPECT_EQ(cudaSuccess, cudaMalloc(&memory, count * sizeof(float)));
  return memory;
}

TEST(ShadowMemoryDeathTest, TheHostCannotTouchIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  float* const memory = allocate(3);
  EXPECT_DEATH(memory[1] = 1, "the host touched device memory.*byte 4 of a block of 12 bytes");
  cudaFree(memory);
}

TEST(ShadowMemory, NewMemoryHoldsNoNumbers) {
  float* const memory = allocate(5);
  std::vector<float> values(5);
  ASSERT_EQ(cudaSuccess, cudaMemcpy(values.data(), memory, 20, cudaMemcpyDefault));
  for (const float value : values) EXPECT_TRUE(std::isnan(value));
  cudaFree(memory);
}

TEST(ShadowMemory, ACopyMustLieInOneBlock) {
  float* const memory = allocate(5);
  std::vector<float> values(6);
  EXPECT_THROW(cudaMemcpy(values.data(), memory, 24, cudaMemcpyDefault), shadow::Fault);
  EXPECT_THROW(cudaMemcpy(memory, values.data(), 4, cudaMemcpyDeviceToHost), shadow::Fault);
  cudaFree(memory);
  EXPECT_THROW(cudaMemcpy(values.data(), memory, 4, cudaMemcpyDefault), shadow::Fault);
}

}  // namespace
