#include "caffe/util/benchmark.hpp"

namespace caffe {

void Timer::Start() {
  if (running_) return;
  gpu_start_ = on_gpu() ? device::record_time() : nullptr;
  start_ = std::chrono::steady_clock::now();
  running_ = has_run_ = true;
}

void Timer::Stop() {
  if (!running_) return;
  if (gpu_start_ != nullptr) gpu_stop_ = device::record_time();
  stop_ = std::chrono::steady_clock::now();
  running_ = false;
}

float Timer::MicroSeconds() {
  if (!has_run_) return 0;
  Stop();
  if (gpu_start_ != nullptr) return 1000 * device::milliseconds(gpu_start_, gpu_stop_);
  return std::chrono::duration<float, std::micro>(stop_ - start_).count();
}

float Timer::MilliSeconds() {
  return MicroSeconds() / 1000;
}

float Timer::Seconds() {
  return MicroSeconds() / 1000000;
}

}  // namespace caffe
