#ifndef CAFFE_UTIL_GPU_GRAPH_HPP_
#define CAFFE_UTIL_GPU_GRAPH_HPP_

#include <cstddef>
#include <memory>

namespace caffe {
namespace device {

/// Work that was recorded from the calling thread's compute stream: a CUDA graph, which one call
/// queues again. Used by the thread that recorded it, on the same GPU.
class Graph {
 public:
  /// Prepares the thread's libraries; call before any of the work that is to have the same numbers
  /// as its recording. May allocate memory.
  static void prepare();
  /// From now on, work for the compute stream is recorded instead of done. The thread may neither
  /// wait for the GPU nor allocate memory meanwhile. Throws an Error if CUDA cannot.
  static void begin();
  /// What was recorded. Throws an Error if something could not be; the stream works again, too.
  static std::unique_ptr<Graph> end();
  /// Forgets what was recorded.
  static void abandon() noexcept;

  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  /// Queues the work.
  void launch() const;
  /// Kernels, copies and fills.
  size_t size() const { return size_; }
  /// Whether a launch would use memory that the thread's libraries have no more (their workspace
  /// grew), or that of another thread or GPU.
  bool is_stale() const;

 private:
  Graph() = default;
  void* work_ = nullptr;
  size_t size_ = 0;
  const void* context_ = nullptr;
  int gpu_ = -1;
  unsigned rooms_ = 0;
};

}  // namespace device
}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_GRAPH_HPP_
