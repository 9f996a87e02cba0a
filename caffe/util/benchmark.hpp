#ifndef CAFFE_UTIL_BENCHMARK_HPP_
#define CAFFE_UTIL_BENCHMARK_HPP_

#include <chrono>

#include "caffe/common.hpp"

namespace caffe {

/// A stopwatch. In GPU mode, Start and Stop first wait for the work queued on the GPU.
class Timer {
 public:
  virtual ~Timer() = default;
  /// Starts it; does nothing if it is running.
  virtual void Start();
  /// Stops it; does nothing if it is not running.
  virtual void Stop();
  /// The time from the last Start to Stop; stops a running timer. 0 before the first Start.
  virtual float MilliSeconds();
  virtual float MicroSeconds();
  virtual float Seconds();

  bool initted() const { return true; }
  bool running() const { return running_; }
  bool has_run_at_least_once() const { return has_run_; }

 private:
  std::chrono::steady_clock::time_point start_, stop_;
  bool running_ = false;
  bool has_run_ = false;
};

/// The same, but never waits for the GPU.
class CPUTimer : public Timer {};

}  // namespace caffe

#endif  // CAFFE_UTIL_BENCHMARK_HPP_
