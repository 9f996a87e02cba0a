// Injected failures and the runtime's errors.

#include <cublas_v2.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shadow_test.hpp"
#include "tests/shadow/launch.hpp"

namespace {

typedef ShadowTest ShadowErrors;

struct Nothing {
  void operator()(int) const {}
};

void launch() {
  shadow::launch_elements(nullptr, 1, Nothing());
}

TEST_F(ShadowErrors, TheLastErrorStaysUntilItIsTaken) {
  void* memory = nullptr;
  shadow::fail_allocation(2);
  EXPECT_EQ(cudaSuccess, cudaMalloc(&memory, 4));
  cudaFree(memory);
  EXPECT_EQ(cudaErrorMemoryAllocation, cudaMallocAsync(&memory, 4, nullptr));
  EXPECT_EQ(nullptr, memory);
  EXPECT_EQ(cudaSuccess, cudaMalloc(&memory, 4));  // works again; the error stays
  cudaFree(memory);
  EXPECT_EQ(cudaErrorMemoryAllocation, cudaPeekAtLastError());
  EXPECT_EQ(cudaErrorMemoryAllocation, cudaGetLastError());
  EXPECT_EQ(cudaSuccess, cudaGetLastError());
}

TEST_F(ShadowErrors, ALaunchThatFailsDoesNothing) {
  shadow::reset_counts();
  shadow::fail_launch(2);
  launch();
  EXPECT_EQ(cudaSuccess, cudaPeekAtLastError());
  launch();
  EXPECT_EQ(cudaErrorLaunchOutOfResources, cudaGetLastError());
  EXPECT_EQ(1, shadow::counts().launches);
  launch();
  EXPECT_EQ(cudaSuccess, cudaDeviceSynchronize());
  EXPECT_EQ(cudaSuccess, cudaGetLastError());
}

TEST_F(ShadowErrors, AStickyOneShowsLaterAndForEver) {
  shadow::fail_launch(1, true);
  launch();
  EXPECT_EQ(cudaSuccess, cudaPeekAtLastError());  // it has not run
  EXPECT_EQ(cudaErrorLaunchFailure, cudaDeviceSynchronize());
  EXPECT_EQ(cudaErrorLaunchFailure, cudaGetLastError());
  EXPECT_EQ(cudaErrorLaunchFailure, cudaGetLastError());
  void* memory = nullptr;
  EXPECT_EQ(cudaErrorLaunchFailure, cudaMalloc(&memory, 4));
  cublasHandle_t handle = nullptr;
  EXPECT_EQ(CUBLAS_STATUS_NOT_INITIALIZED, cublasCreate(&handle));
  shadow::clear_sticky_error();
  EXPECT_EQ(cudaSuccess, cudaDeviceSynchronize());
}

TEST_F(ShadowErrors, DevicesAndDrivers) {
  int count = -1;
  EXPECT_EQ(cudaErrorInvalidDevice, cudaSetDevice(1));
  EXPECT_EQ(cudaErrorInvalidDevice, cudaSetDevice(-1));
  shadow::set_devices(3);
  EXPECT_EQ(cudaSuccess, cudaGetDeviceCount(&count));
  EXPECT_EQ(3, count);
  EXPECT_EQ(cudaSuccess, cudaSetDevice(2));
  EXPECT_EQ(cudaSuccess, cudaSetDevice(0));
  shadow::set_devices(0);
  EXPECT_EQ(cudaErrorNoDevice, cudaGetDeviceCount(&count));
  EXPECT_EQ(0, count);
  shadow::set_devices(1);
  int version = 0;
  for (const int driver : {0, 12040}) {
    shadow::set_driver(driver);
    EXPECT_EQ(cudaErrorInsufficientDriver, cudaGetDeviceCount(&count));
    EXPECT_EQ(cudaSuccess, cudaDriverGetVersion(&version));
    EXPECT_EQ(driver, version);
  }
  EXPECT_STREQ("cudaErrorNoDevice", cudaGetErrorName(cudaErrorNoDevice));
  EXPECT_STREQ("out of memory", cudaGetErrorString(cudaErrorMemoryAllocation));
}

TEST_F(ShadowErrors, AForkedProcessHasNoDevice) {
  OnDevice<int> memory(1);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(cudaDeviceSynchronize() == cudaErrorInitializationError ? 0 : 1);
  int status = 1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
  EXPECT_EQ(cudaSuccess, cudaDeviceSynchronize());
}

TEST(ShadowErrorsDeathTest, TheEnvironmentSetsThemToo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The settings are read at the first use, so a new process must begin with them.
  setenv("SHADOW_DEVICES", "5", 1);
  setenv("SHADOW_MEMORY", "12345", 1);
  setenv("SHADOW_SEED", "77", 1);
  setenv("SHADOW_FAIL_ALLOCATION", "1", 1);
  setenv("SHADOW_FAIL_CAPTURE", "1", 1);
  const auto program = [] {
    int count = 0;
    size_t free = 0, total = 0;
    void* memory = nullptr;
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
    const bool right = cudaGetDeviceCount(&count) == cudaSuccess && count == 5 &&
                       cudaMemGetInfo(&free, &total) == cudaSuccess && total == 12345 &&
                       shadow::seed() == 77 &&
                       cudaMalloc(&memory, 1) == cudaErrorMemoryAllocation &&
                       cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated;
    std::_Exit(right ? 0 : 1);
  };
  EXPECT_EXIT(program(), ::testing::ExitedWithCode(0), "");
  for (const char* const name : {"SHADOW_DEVICES", "SHADOW_MEMORY", "SHADOW_SEED",
                                 "SHADOW_FAIL_ALLOCATION", "SHADOW_FAIL_CAPTURE"}) {
    unsetenv(name);
  }
}

}  // namespace
