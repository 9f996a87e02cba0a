#include "caffe/util/gpu_usage.hpp"

#include <algorithm>

#include "caffe/util/gpu_context.hpp"

namespace caffe {

/// A first user of memory that the engine allocated waits for the stream on which it was.
void GpuUsage::wait_for_writer(GpuContext* context) {
  if (written_ != nullptr) {
    device::wait_for(written_, context->stream());
    return;
  }
  GpuContext* const writer = writer_.load() != nullptr ? writer_.load() : home_;
  if (writer != nullptr && writer != context) context->wait_for(writer);
}

void GpuUsage::join(GpuContext* context, bool writes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool known = std::find(users_.begin(), users_.end(), context) != users_.end();
  if (!known && (users_.empty() || !writes)) wait_for_writer(context);
  if (writes) {
    for (GpuContext* const user : users_) {  // the last writer is one of them
      if (user != context) context->wait_for(user);
    }
    users_.assign(1, context);
    writer_ = context;
    written_.reset();
  } else if (!known) {
    users_.push_back(context);
  }
  sole_ = users_.size() == 1 ? context : nullptr;
}

void GpuUsage::before_writing_on(device::Stream stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  device::wait_for(written_, stream);
  if (users_.empty() && home_ != nullptr) home_->let_wait(stream);
  for (GpuContext* const user : users_) user->let_wait(stream);
}

void GpuUsage::has_written_on(device::Stream stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  written_ = device::record(stream);
  users_.clear();
  writer_ = nullptr;
  sole_ = nullptr;
}

bool GpuUsage::last_would_record(const GpuContext* calling) const {
  const bool is_home = calling == nullptr || calling->device() != device_;
  return is_home && home_->is_recording();
}

GpuContext* GpuUsage::last(GpuContext* calling) {
  const std::lock_guard<std::mutex> lock(mutex_);
  GpuContext* const keeper = calling != nullptr && calling->device() == device_ ? calling : home_;
  device::wait_for(written_, keeper->stream());
  if (users_.empty() && keeper != home_) keeper->wait_for(home_);
  for (GpuContext* const user : users_) {
    if (user != keeper) keeper->wait_for(user);
  }
  return keeper;
}

}  // namespace caffe
