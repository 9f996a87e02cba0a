#include "caffe/util/upload.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

namespace caffe {

std::shared_ptr<void> Upload::Memory::lend(size_t offset) {
  const std::shared_ptr<void> whole = memory;
  const std::shared_ptr<void> part(static_cast<char*>(whole.get()) + offset, [whole](void*) {});
  lent.push_back(part);
  return part;
}

void Upload::Memory::take_back() {
  bool is_used = false;
  for (const std::weak_ptr<void>& part : lent) is_used = is_used || part.use_count() > 1;
  lent.clear();
  if (is_used) memory.reset();
}

Upload::~Upload() {
  try {
    device::finish(sent_);
    device::finish(given_back_);
  } catch (const Error& error) {
    LOG(ERROR) << "an upload to the GPU has failed: " << error.what();
  }
}

void Upload::reserve(size_t bytes) {
  if (bytes == 0) return;
  host(bytes);
  make_room_on_gpu();
}

/// It asks again and again instead of blocking: the copy is nearly always done by now.
void Upload::clear() {
  while (!device::is_done(sent_)) std::this_thread::sleep_for(std::chrono::microseconds(50));
}

char* Upload::host(size_t bytes) {
  bytes_ = bytes;
  if (host_.memory == nullptr || bytes > host_.bytes) {
    host_.memory.reset();
    host_.bytes = std::max(bytes, host_.bytes);
    host_.memory.reset(device::allocate_pinned(host_.bytes), device::release_pinned);
  }
  return static_cast<char*>(host_.memory.get());
}

/// Where memory must be replaced the host waits, until it is not in use any more.
void Upload::make_room_on_gpu() {
  const int device = device::current();
  if (gpu_.memory != nullptr && bytes_ <= gpu_.bytes && device_ == device) return;
  device::finish(sent_);
  device::finish(given_back_);
  gpu_.memory.reset();
  gpu_.bytes = std::max(bytes_, gpu_.bytes);
  gpu_.memory.reset(device::allocate(gpu_.bytes), device::release);
  device_ = device;
  given_back_ = device::record();  // from this point on the memory is there
}

void Upload::send() {
  make_room_on_gpu();
  const device::Stream stream = device::copy_stream();
  device::wait_for(given_back_, stream);
  device::copy_async(gpu_.memory.get(), host_.memory.get(), bytes_, stream);
  sent_ = device::record(stream);
}

void Upload::receive() {
  device::wait_for(sent_);
}

namespace {

/// The thread's GPU is another one while this exists.
class OnOtherGpu {
 public:
  explicit OnOtherGpu(int gpu) : before_(device::current()) { device::select(gpu); }
  ~OnOtherGpu() {
    try {
      device::select(before_);
    } catch (const Error&) {  // it was there a moment ago
    }
  }

 private:
  const int before_;
};

}  // namespace

/// The thread may have used them on their GPU before it went to another.
void Upload::give_back() {
  std::unique_ptr<OnOtherGpu> other;
  if (device_ >= 0 && device_ != device::current()) {
    device::wait();
    other.reset(new OnOtherGpu(device_));
  }
  given_back_ = device::record();
  other.reset();
  gpu_.take_back();
  host_.take_back();
}

}  // namespace caffe
