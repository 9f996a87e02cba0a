#include "tests/shadow/capture.hpp"

#include "tests/shadow/settings.hpp"

namespace shadow {

Captures& Captures::get() {
  static Captures& made = *new Captures;  // never destroyed, as the queue
  return made;
}

cudaError_t Captures::begin(CUstream_st* stream, cudaStreamCaptureMode mode) {
  const Lock lock(mutex_);
  if (stream->is_legacy) return cudaErrorStreamCaptureUnsupported;
  if (running_.count(stream) != 0) return cudaErrorIllegalState;
  running_[stream] = Capture{mode, std::this_thread::get_id(), true, {}};
  return cudaSuccess;
}

cudaError_t Captures::end(CUstream_st* stream, std::vector<OperationPtr>* operations) {
  const Lock lock(mutex_);
  const auto found = running_.find(stream);
  if (found == running_.end()) return cudaErrorIllegalState;
  const Capture capture = found->second;
  if (capture.mode != cudaStreamCaptureModeRelaxed &&
      capture.thread != std::this_thread::get_id()) {
    return cudaErrorStreamCaptureWrongThread;
  }
  running_.erase(found);
  if (is_due(&settings().failing_capture) || !capture.is_valid) {
    return cudaErrorStreamCaptureInvalidated;
  }
  *operations = capture.operations;
  return cudaSuccess;
}

void Captures::drop(CUstream_st* stream) {
  const Lock lock(mutex_);
  running_.erase(stream);
}

cudaError_t Captures::status(CUstream_st* stream, cudaStreamCaptureStatus* status) {
  const Lock lock(mutex_);
  *status = cudaStreamCaptureStatusNone;
  for (const auto& [captured, capture] : running_) {
    if (stream->is_legacy && captured->is_blocking && captured->device == stream->device) {
      return cudaErrorStreamCaptureImplicit;  // the one error that harms no capture
    }
    if (captured == stream) {
      *status =
          capture.is_valid ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated;
    }
  }
  return cudaSuccess;
}

bool Captures::take(const OperationPtr& operation, CUstream_st* stream) {
  const Lock lock(mutex_);
  const auto found = running_.find(stream);
  if (found == running_.end()) return false;
  found->second.operations.push_back(operation);
  return true;
}

/// True if there was such a capture.
template <typename Condition>
bool Captures::invalidate(const Condition& condition) {
  bool found = false;
  for (auto& [stream, capture] : running_) {
    if (!condition(*stream, capture)) continue;
    capture.is_valid = false;
    found = true;
  }
  return found;
}

cudaError_t Captures::before(Use use, CUstream_st* stream) {
  const Lock lock(mutex_);
  const auto found = running_.find(stream);
  if (found == running_.end()) {
    const auto depends = [&](const CUstream_st& other, const Capture&) {
      return stream->is_legacy && other.is_blocking && other.device == stream->device;
    };
    if (invalidate(depends)) return cudaErrorStreamCaptureImplicit;
    return use == Use::kWait ? refuse_unsafe_call() : cudaSuccess;
  }
  Capture& capture = found->second;
  if (!capture.is_valid) return cudaErrorStreamCaptureInvalidated;
  if (use == Use::kWork) return cudaSuccess;
  capture.is_valid = false;
  return use == Use::kDependency ? cudaErrorStreamCaptureIsolation
                                 : cudaErrorStreamCaptureUnsupported;
}

cudaError_t Captures::before_destroy(CUstream_st* stream) {
  const Lock lock(mutex_);
  const auto found = running_.find(stream);
  if (found == running_.end()) return cudaSuccess;
  found->second.is_valid = false;
  return cudaErrorStreamCaptureUnsupported;
}

/// The captures are locked.
cudaError_t Captures::refuse_unsafe_call() {
  const std::thread::id thread = std::this_thread::get_id();
  const auto forbids = [&](const CUstream_st&, const Capture& capture) {
    return capture.mode == cudaStreamCaptureModeGlobal ||
           (capture.mode == cudaStreamCaptureModeThreadLocal && capture.thread == thread);
  };
  return invalidate(forbids) ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t Captures::before_unsafe_call() {
  const Lock lock(mutex_);
  return refuse_unsafe_call();
}

cudaError_t Captures::before_device_wait(int device) {
  const Lock lock(mutex_);
  const auto is_part = [=](const CUstream_st& stream, const Capture&) {
    return stream.device == device;
  };
  if (invalidate(is_part)) return cudaErrorStreamCaptureUnsupported;
  return refuse_unsafe_call();
}

}  // namespace shadow
