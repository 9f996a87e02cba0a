#ifndef TESTS_SHADOW_CAPTURE_HPP_
#define TESTS_SHADOW_CAPTURE_HPP_

// Streams whose operations are collected for a graph instead of run, and which calls CUDA forbids
// meanwhile. A forbidden call makes the capture invalid: the stream is of no use until the capture
// ends.

#include <cuda_runtime.h>

#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/shadow/queue.hpp"

namespace shadow {

/// What a call wants from a stream.
enum class Use {
  kWork,        // add an operation that a graph can hold
  kWait,        // wait for it, or ask whether it is done
  kDependency,  // make it wait for an event
  kRefused      // something that no captured stream takes
};

class Captures {
 public:
  static Captures& get();

  cudaError_t begin(CUstream_st* stream, cudaStreamCaptureMode mode);
  /// The captured operations, in order; none with an error.
  cudaError_t end(CUstream_st* stream, std::vector<OperationPtr>* operations);
  /// Ends a capture that is of no use any more, if there is one.
  void drop(CUstream_st* stream);
  cudaError_t status(CUstream_st* stream, cudaStreamCaptureStatus* status);
  /// False if the stream is not captured: then the operation is to be queued.
  bool take(const OperationPtr& operation, CUstream_st* stream);

  // Whether a call is allowed. If not, it made captures invalid.
  cudaError_t before(Use use, CUstream_st* stream);
  /// The stream may be one that does not exist.
  cudaError_t before_destroy(CUstream_st* stream);
  /// A call that may wait for the whole device: no thread may make it that captures a stream.
  cudaError_t before_unsafe_call();
  cudaError_t before_device_wait(int device);

 private:
  struct Capture {
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool is_valid = true;
    std::vector<OperationPtr> operations;
  };
  typedef std::lock_guard<std::mutex> Lock;
  Captures() = default;
  template <typename Condition>
  bool invalidate(const Condition& condition);
  cudaError_t refuse_unsafe_call();

  std::mutex mutex_;
  std::map<CUstream_st*, Capture> running_;
};

}  // namespace shadow

#endif  // TESTS_SHADOW_CAPTURE_HPP_
