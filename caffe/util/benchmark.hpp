#ifndef CAFFE_UTIL_BENCHMARK_H_
#define CAFFE_UTIL_BENCHMARK_H_

#include <chrono>

#include "caffe/common.hpp"

namespace caffe {

/// A stopwatch. In GPU mode it waits for the work of the GPU that was queued before Start and Stop.
class Timer {
 public:
  virtual ~Timer() = default;
  /// Starts it; does nothing while it runs.
  virtual void Start();
  /// Stops it; does nothing while it stands.
  virtual void Stop();
  /// Of the last Start to Stop; stops a running one. 0 before the first Start.
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

/// The same without the GPU.
class CPUTimer : public Timer {};

}  // namespace caffe

#endif  // CAFFE_UTIL_BENCHMARK_H_
