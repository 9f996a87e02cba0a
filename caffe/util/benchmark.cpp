#include "caffe/util/benchmark.hpp"

#include "caffe/util/device.hpp"

namespace caffe {

namespace {

std::chrono::steady_clock::time_point now() {
  if (Caffe::mode() == Caffe::GPU) device::wait();
  return std::chrono::steady_clock::now();
}

}  // namespace

void Timer::Start() {
  if (running_) return;
  start_ = now();
  running_ = has_run_ = true;
}

void Timer::Stop() {
  if (!running_) return;
  stop_ = now();
  running_ = false;
}

float Timer::MicroSeconds() {
  if (!has_run_) return 0;
  Stop();
  return std::chrono::duration<float, std::micro>(stop_ - start_).count();
}

float Timer::MilliSeconds() {
  return MicroSeconds() / 1000;
}

float Timer::Seconds() {
  return MicroSeconds() / 1000000;
}

}  // namespace caffe
