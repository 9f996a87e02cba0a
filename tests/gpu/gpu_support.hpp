#ifndef TESTS_GPU_GPU_SUPPORT_HPP_
#define TESTS_GPU_GPU_SUPPORT_HPP_

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/attention.hpp"
#include "kernels/region.hpp"

inline void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

/// The properties of GPU 0; without one this says so and returns false.
inline bool find_gpu(cudaDeviceProp* properties) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("skipped, no GPU\n");
    return false;
  }
  check(cudaGetDeviceProperties(properties, 0));
  return true;
}

/// The same values on both devices; each device then keeps its own results.
template <typename T>
class Buffer {
 public:
  explicit Buffer(size_t size) : Buffer(std::vector<T>(size, T(-1))) {}
  explicit Buffer(const std::vector<T>& values) : cpu_(values) {
    check(cudaMalloc(&gpu_, std::max<size_t>(1, bytes())));
    check(cudaMemcpy(gpu_, cpu_.data(), bytes(), cudaMemcpyHostToDevice));
  }
  ~Buffer() { cudaFree(gpu_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* on(maap::Device device) { return device == maap::Device::kCPU ? cpu_.data() : gpu_; }
  T* gpu() { return gpu_; }
  const std::vector<T>& cpu() const { return cpu_; }
  std::vector<T> from_gpu() const {
    std::vector<T> values(cpu_.size());
    check(cudaMemcpy(values.data(), gpu_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  size_t bytes() const { return cpu_.size() * sizeof(T); }
  std::vector<T> cpu_;
  T* gpu_ = nullptr;
};

/// Scratch memory on one device.
class Workspace {
 public:
  Workspace(maap::Device device, size_t bytes) : on_gpu_(device == maap::Device::kGPU) {
    if (on_gpu_) {
      check(cudaMalloc(&data_, bytes));
    } else {
      data_ = ::operator new(bytes);
    }
  }
  ~Workspace() {
    if (on_gpu_) {
      cudaFree(data_);
    } else {
      ::operator delete(data_);
    }
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  void* data() { return data_; }

 private:
  bool on_gpu_;
  void* data_ = nullptr;
};

template <typename T>
std::string type_name() {
  return sizeof(T) == 4 ? " float" : " double";
}

inline std::string describe(const maap::FeatureShape& s) {
  return std::to_string(s.n) + "x" + std::to_string(s.channels) + "x" + std::to_string(s.pixels);
}

inline std::string describe(const maap::RegionShape& s) {
  return std::to_string(s.n) + " maps " + std::to_string(s.map_height) + "x" +
         std::to_string(s.map_width) + " to " + std::to_string(s.height) + "x" +
         std::to_string(s.width);
}

template <typename T>
std::vector<T> random_values(size_t size, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<T> values(size);
  for (T& v : values) v = static_cast<T>(normal(random));
  return values;
}

/// Maps that distinguish labellings: bumps, noise, two values, stripes, a spiral-like snake, one
/// pixel, flat.
template <typename T>
std::vector<T> test_maps(int n, int height, int width) {
  std::mt19937 random(9);
  std::uniform_real_distribution<double> uniform;
  std::vector<T> values;
  for (int i = 0; i < n; ++i) {
    const double cy = uniform(random) * height, cx = uniform(random) * width,
                 level = uniform(random);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const double distance = (y - cy) * (y - cy) + (x - cx) * (x - cx);
        const bool snake = y % 2 == 0 || x == (y % 4 == 1 ? width - 1 : 0);
        const double choices[] = {
            std::exp(-distance / 12),   uniform(random), uniform(random) < 0.5 ? 1. : 2.,
            (x + y) % 3 == 0 ? 1. : 0., snake ? 1. : 0., level,
            distance < 0.5 ? 1. : 0.};
        values.push_back(static_cast<T>(choices[i % 7]));
      }
    }
  }
  return values;
}

/// Median of 20 runs in milliseconds, by the device's clock. Before each run 256 MB are written, so
/// that the caches hold none of its data.
inline float median_ms(const std::function<void()>& f) {
  constexpr size_t kFlush = size_t(256) << 20;
  static Buffer<char> other(kFlush);
  cudaEvent_t start, stop;
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&stop));
  std::vector<float> times;
  for (int i = -3; i < 20; ++i) {
    check(cudaMemsetAsync(other.gpu(), i, kFlush));
    check(cudaEventRecord(start));
    f();
    check(cudaEventRecord(stop));
    check(cudaEventSynchronize(stop));
    float time = 0;
    check(cudaEventElapsedTime(&time, start, stop));
    if (i >= 0) times.push_back(time);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

/// Prints each result as it comes and remembers it for the JSON.
class Report {
 public:
  explicit Report(const std::string& device) : device_(device) {
    std::printf("on %s\n", device.c_str());
  }

  /// Equal up to a few roundings; the difference is printed.
  template <typename T>
  void compare(const std::string& name, const Buffer<T>& buffer) {
    compare(name, buffer, sizeof(T) == 4 ? 1e-5 : 1e-13);
  }
  template <typename T>
  void compare_exactly(const std::string& name, const Buffer<T>& buffer) {
    compare(name, buffer, 0);
  }
  void expect(const std::string& name, bool passed) {
    add(name, passed, passed ? "as expected" : "NOT so");
  }
  /// `traffic`: the bytes that the code must move, as a multiple of the copy's; 0: not compared.
  void time(const std::string& name, float ms, float copy, double traffic) {
    const double share = traffic * copy / ms;
    std::printf("%-60s %8.4f ms  %5.1f %% of the copy's bandwidth\n", name.c_str(), ms,
                100 * share);
    times_ << (times_.tellp() ? ", " : "") << "{\"name\": \"" << name << "\", \"ms\": " << ms
           << ", \"share\": " << share << "}";
  }
  std::string json() const {
    return "{\"device\": \"" + device_ + "\", \"checks\": [" + checks_.str() + "], \"times\": [" +
           times_.str() + "]}\n";
  }
  /// The exit status.
  int finish() const {
    std::printf("%d checks, %d failed\n", count_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  template <typename T>
  void compare(const std::string& name, const Buffer<T>& buffer, double tolerance) {
    check(cudaDeviceSynchronize());
    const std::vector<T> gpu = buffer.from_gpu();
    double worst = 0;
    size_t unequal = 0, where = 0;
    for (size_t i = 0; i < gpu.size(); ++i) {
      const double cpu = buffer.cpu()[i],
                   apart = std::abs(gpu[i] - cpu) / std::max(1., std::abs(cpu));
      unequal += !(gpu[i] == buffer.cpu()[i]);
      if (!(apart <= worst)) {
        worst = std::isnan(apart) ? std::numeric_limits<double>::infinity() : apart;
        where = i;
      }
    }
    char text[160];
    std::snprintf(text, sizeof text, "%zu of %zu values not equal, worst %.1e at %zu", unequal,
                  gpu.size(), worst, where);
    add(name, worst <= tolerance, text);
  }
  void add(const std::string& name, bool passed, const std::string& text) {
    std::printf("%-6s %-60s %s\n", passed ? "ok" : "FAILED", name.c_str(), text.c_str());
    checks_ << (count_ ? ", " : "") << "{\"name\": \"" << name
            << "\", \"passed\": " << (passed ? "true" : "false") << ", \"result\": \"" << text
            << "\"}";
    ++count_;
    failed_ += !passed;
  }

  std::string device_;
  std::ostringstream checks_, times_;
  int count_ = 0, failed_ = 0;
};

#endif  // TESTS_GPU_GPU_SUPPORT_HPP_
