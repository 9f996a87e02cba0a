#include "caffe/util/gpu_error.hpp"

#include <atomic>
#include <sstream>

#include "caffe/util/device.hpp"
#include "caffe/util/error.hpp"
#include "kernels/fork.hpp"

namespace caffe {

namespace {

std::atomic<int> used_in{-1};  // the process_generation() that used a GPU first; -1: none did

/// What the thread ran last.
struct Last {
  std::string layer;
  const char* pass = "";
};

Last& last() {
  static thread_local Last of_this_thread;
  return of_this_thread;
}

/// "13.0" for 13000.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string versions_text() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) {
    return "no driver of NVIDIA's is installed on this machine, or this container was started "
           "without its GPUs (docker run --gpus all)";
  }
  const bool is_old = driver / 1000 < runtime / 1000;
  return "the driver supports CUDA " + version_text(driver) + ", and this Caffe was built with " +
         version_text(runtime) +
         (is_old ? "; install a newer driver (CUDA 13 needs 580 or later), or build with an older "
                   "CUDA from 12 on"
                 : "");
}

/// Whether it stems from work that was queued earlier; the GPU's memory is then lost.
bool is_late(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

std::string late_text() {
  std::ostringstream text;
  text << ". Work that was queued before failed, and this process cannot use the GPU any more; ";
  if (last().layer.empty()) {
    text << "no layer has run in this thread";
  } else {
    text << "the layer that ran last in this thread is '" << last().layer << "' (" << last().pass
         << "), but an earlier one may be the cause";
  }
  text << ": run again with CAFFE_GPU_SYNC=1, which waits after every layer, or "
       << "CUDA_LAUNCH_BLOCKING=1, or under compute-sanitizer";
  return text.str();
}

const char kForked[] =
    "this process was forked from one that had used the GPU, which CUDA cannot do: fork before the "
    "first use of the GPU, or start the process without a fork (in Python: "
    "multiprocessing.get_context('spawn'))";

}  // namespace

std::string gpu_error_text(cudaError_t status) {
  if (is_parents_gpu()) return kForked;
  const std::string reason = cudaGetErrorString(status);
  if (is_late(status)) return reason + late_text();
  switch (status) {
    case cudaErrorNoDevice:
      return reason + " (CUDA_VISIBLE_DEVICES may hide it; nvidia-smi shows what is there)";
    case cudaErrorInsufficientDriver:
      return reason + ": " + versions_text();
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
    case cudaErrorInitializationError:
    case cudaErrorNoKernelImageForDevice:
      return reason + " (" + versions_text() + ")";
    default:
      return reason;
  }
}

std::string gpu_reason() {
  const cudaError_t reason = cudaGetLastError();  // which must not be reported for a later call
  return reason == cudaSuccess ? "" : ": " + gpu_error_text(reason);
}

void check_gpu(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  CAFFE_FAIL(what << ": " << gpu_error_text(status));
}

bool is_parents_gpu() noexcept {
  const int first = used_in.load(std::memory_order_relaxed);
  return first >= 0 && first != maap::process_generation();
}

void enter_gpu() {
  if (is_parents_gpu()) throw Error(kForked);
  int none = -1;
  if (used_in.load(std::memory_order_relaxed) < 0) {
    used_in.compare_exchange_strong(none, maap::process_generation());
  }
}

namespace device {

void has_run(const std::string& layer, const char* pass) {
  static const bool waits = is_asked_for("CAFFE_GPU_SYNC");
  last().layer = layer;
  last().pass = pass;
  if (waits) wait();
}

}  // namespace device

}  // namespace caffe
