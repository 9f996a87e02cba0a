#ifndef CAFFE_UTIL_BENCHMARK_HPP_
#define CAFFE_UTIL_BENCHMARK_HPP_

#include <chrono>

#include "caffe/common.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

/// A stopwatch. In GPU mode it measures when the GPU reaches Start and Stop in the thread's work;
/// neither waits, but reading the time does.
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

 protected:
  /// Whether Start measures on the GPU.
  virtual bool on_gpu() const { return Caffe::mode() == Caffe::GPU; }

 private:
  std::chrono::steady_clock::time_point start_, stop_;
  device::Event gpu_start_, gpu_stop_;  // null: measured on the CPU
  bool running_ = false;
  bool has_run_ = false;
};

/// The same on the CPU, whatever the mode.
class CPUTimer : public Timer {
 protected:
  bool on_gpu() const override { return false; }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BENCHMARK_HPP_
