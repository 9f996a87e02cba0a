#include "caffe/internal_thread.hpp"

#include <exception>

#include "caffe/util/device.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

Interruption*& Interruption::OfThisThread() {
  static thread_local Interruption* of_this_thread = nullptr;
  return of_this_thread;
}

void Interruption::Request() {
  requested_ = true;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waits_with_ == nullptr) return;
  // Either the thread has not locked the mutex yet and will see the request, or it waits and is
  // woken by the call.
  { const std::lock_guard<std::mutex> not_between(*waits_with_); }
  waits_for_->notify_all();
}

Interruption::Sleep::Sleep(std::mutex* mutex, std::condition_variable* change)
    : of_(OfThisThread()) {
  if (of_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(of_->mutex_);
  of_->waits_with_ = mutex;
  of_->waits_for_ = change;
}

Interruption::Sleep::~Sleep() {
  if (of_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(of_->mutex_);
  of_->waits_with_ = nullptr;
  of_->waits_for_ = nullptr;
}

/// The settings of the thread that starts another.
struct InternalThread::Settings {
  Caffe::Brew mode = Caffe::mode();
  int device = mode == Caffe::GPU && device::count() > 0 ? device::current() : -1;  // -1: none
  unsigned int seed = caffe_rng_rand() + static_cast<unsigned int>(Caffe::solver_rank());
  int solver_count = Caffe::solver_count();
  int solver_rank = Caffe::solver_rank();
  bool multiprocess = Caffe::multiprocess();
};

InternalThread::~InternalThread() {
  StopInternalThread();
}

void InternalThread::StartInternalThread() {
  CAFFE_CHECK(!is_started(), "the thread is already running");
  interruption_.Reset();
  const Settings settings;
  thread_.reset(new std::thread([this, settings] { entry(settings); }));
}

void InternalThread::StopInternalThread() {
  if (!is_started()) return;  // in a forked child, the thread is the parent's
  interruption_.Request();
  thread_->join();
  thread_.reset();
}

void InternalThread::entry(const Settings& settings) {
  Interruption::OfThisThread() = &interruption_;
  try {
    if (settings.device >= 0) Caffe::SetDevice(settings.device);
    Caffe::set_mode(settings.mode);
    Caffe::set_random_seed(settings.seed);
    Caffe::set_solver_count(settings.solver_count);
    Caffe::set_solver_rank(settings.solver_rank);
    Caffe::set_multiprocess(settings.multiprocess);
    InternalThreadEntry();
  } catch (const Interrupted&) {
  } catch (const std::exception& error) {
    LOG(ERROR) << "A thread ends: " << error.what();
  }
}

}  // namespace caffe
