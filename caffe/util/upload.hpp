#ifndef CAFFE_UTIL_UPLOAD_HPP_
#define CAFFE_UTIL_UPLOAD_HPP_

// Bytes that go to the GPU while it computes.
//
// One thread fills host memory and sends it, on its copy stream; another, or the same one, receives
// it on its compute stream. Neither waits for the transfer; the streams do, by two events:
//
//   sent        the bytes are in GPU memory:        the compute stream waits before it reads them
//   given back  the last reader of them is queued:  the copy stream waits before it replaces them
//
// Only clear() makes the host wait, until the host memory has been read.

#include <memory>

#include "caffe/common.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

/// A piece of pinned host memory and one of GPU memory, of the same size, which are filled again
/// and again. They grow when they must, and never shrink.
class Upload {
 public:
  Upload() = default;
  ~Upload();

  /// Memory for that many bytes, so that neither host() nor send() need allocate it.
  void reserve(size_t bytes);

  // The thread that fills. One call of clear(), host() and send() after the other.

  /// Waits until the host memory of the last send() may be written again.
  void clear();
  /// Host memory for that many bytes.
  char* host(size_t bytes);
  /// Starts copying the bytes to the GPU.
  void send();

  // The thread that computes. One call of receive() and give_back() for each send().

  /// Whether the bytes were sent to this thread's GPU. If not, use lend_host() only.
  bool is_here() const { return device_ == device::current(); }
  /// What this thread queues from now on finds the bytes that were sent.
  void receive();
  /// Where they are, `offset` bytes from their beginning: on the GPU, on the host. The memory is
  /// used again after give_back(), unless someone then holds a copy of the result besides the one
  /// to whom it was given.
  std::shared_ptr<void> lend_gpu(size_t offset) { return gpu_.lend(offset); }
  std::shared_ptr<void> lend_host(size_t offset) { return host_.lend(offset); }
  /// All work with them has been queued.
  void give_back();

 private:
  struct Memory {
    std::shared_ptr<void> memory;
    size_t bytes = 0;  // there is room for
    std::vector<std::weak_ptr<void>> lent;

    std::shared_ptr<void> lend(size_t offset);
    /// Leaves the memory to those who hold it, if there are any.
    void take_back();
  };
  void make_room_on_gpu();

  Memory host_, gpu_;
  size_t bytes_ = 0;  // in use
  int device_ = -1;
  device::Event sent_, given_back_;

  DISABLE_COPY_AND_ASSIGN(Upload);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_UPLOAD_HPP_
