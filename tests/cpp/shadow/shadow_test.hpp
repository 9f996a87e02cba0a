#ifndef TESTS_CPP_SHADOW_SHADOW_TEST_HPP_
#define TESTS_CPP_SHADOW_SHADOW_TEST_HPP_

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/shadow/control.hpp"

/// Leaves the device as it was: no injected fault, no error, nothing waiting.
class ShadowTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // a forked child has no device
    shadow::set_seed(1);
  }
  void TearDown() override {
    shadow::fail_allocation(0);
    shadow::fail_launch(0);
    shadow::fail_capture(0);
    shadow::clear_sticky_error();
    shadow::set_devices(1);
    shadow::set_driver(CUDART_VERSION);
    shadow::set_memory(size_t(8) << 30);
    cudaSetDevice(0);
    cudaDeviceSynchronize();
    cudaGetLastError();
  }
};

/// An array in device memory.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(int count) : count_(count) {
    EXPECT_EQ(cudaSuccess, cudaMalloc(&memory_, count * sizeof(T)));
  }
  explicit OnDevice(const std::vector<T>& values) : OnDevice(static_cast<int>(values.size())) {
    EXPECT_EQ(cudaSuccess,
              cudaMemcpy(memory_, values.data(), values.size() * sizeof(T), cudaMemcpyDefault));
  }
  ~OnDevice() { cudaFree(memory_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* get() const { return memory_; }
  /// The values; waits for what the legacy default stream waits for.
  std::vector<T> values() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaSuccess,
              cudaMemcpy(values.data(), memory_, values.size() * sizeof(T), cudaMemcpyDefault));
    return values;
  }

 private:
  int count_;
  T* memory_ = nullptr;
};

/// For tests whose kernels race on purpose, or access what they must not.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_UNDER_SANITIZERS() GTEST_SKIP() << "a sanitizer reports this first"
#else
#define SKIP_UNDER_SANITIZERS() (void)0
#endif

/// The text of the Fault that f() throws; "" if it throws none.
template <typename F>
std::string fault_of(const F& f) {
  try {
    f();
  } catch (const shadow::Fault& fault) {
    return fault.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

#endif  // TESTS_CPP_SHADOW_SHADOW_TEST_HPP_
