// The functions of device.hpp in a build with CUDA: GPUs, streams and events. device_memory.cpp has
// those for memory.

#include "caffe/util/device.hpp"

#include <cuda_runtime.h>

#include <iomanip>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

#include "caffe/util/error.hpp"
#include "caffe/util/gpu_capability.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {
namespace device {

namespace {

const char* const kWaits = "waits for the GPU";

/// Why there is none, or success.
cudaError_t find(int* devices) {
  *devices = 0;
  if (is_parents_gpu()) return cudaErrorInitializationError;
  const cudaError_t status = cudaGetDeviceCount(devices);
  if (status == cudaSuccess) {
    enter_gpu();
  } else {
    *devices = 0;
    cudaGetLastError();
  }
  return status;
}

std::string name_of(int id) {
  cudaDeviceProp gpu;
  if (cudaGetDeviceProperties(&gpu, id) == cudaSuccess) return gpu.name;
  cudaGetLastError();
  return "?";
}

/// The other GPUs whose memory this one can read itself, over NVLink or PCIe: "1, 2"; or "none".
std::string reachable_from(int id) {
  std::vector<std::string> found;
  for (int other = 0; other < count(); ++other) {
    int can = 0;
    if (other == id) continue;
    check_gpu(cudaDeviceCanAccessPeer(&can, id, other), "reading a GPU's properties");
    if (can != 0) found.push_back(std::to_string(other));
  }
  return found.empty() ? "none" : join(found);
}

}  // namespace

int count() {
  int devices = 0;
  find(&devices);
  return devices;
}

std::string why_unusable(int id) {
  int devices = 0;
  const cudaError_t status = find(&devices);
  std::ostringstream text;
  text << "there is no GPU " << id << ": ";
  if (status != cudaSuccess || devices == 0) {
    text << gpu_error_text(status != cudaSuccess ? status : cudaErrorNoDevice);
    return text.str();
  }
  text << "the CUDA runtime finds " << devices << " (";
  for (int i = 0; i < devices; ++i) text << (i == 0 ? "" : ", ") << i << ": " << name_of(i);
  text << ")";
  return text.str();
}

bool usable(int id) {
  if (id < 0 || id >= count()) return false;
  // Does not make it the current one: to go back would start the work of the other GPU as well.
  const bool works = cudaInitDevice(id, 0, 0) == cudaSuccess;
  cudaGetLastError();  // a failure above must not be reported for a later call
  return works;
}

void select(int id) {
  CAFFE_CHECK(id >= 0 && id < count(), why_unusable(id));
  check_gpu(cudaSetDevice(id), "selecting a GPU");
  GpuContext::current();
}

int current() {
  enter_gpu();
  int id = 0;
  check_gpu(cudaGetDevice(&id), "finding the current GPU");
  return id;
}

int capability() {
  int major = 0, minor = 0;
  const int id = current();
  check_gpu(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, id),
            "reading a GPU's compute capability");
  check_gpu(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, id),
            "reading a GPU's compute capability");
  return 10 * major + minor;
}

std::string properties(int id) {
  CAFFE_CHECK(id >= 0 && id < count(), why_unusable(id));
  cudaDeviceProp gpu;
  check_gpu(cudaGetDeviceProperties(&gpu, id), "reading a GPU's properties");
  std::ostringstream text;
  const auto line = [&text](const char* name) -> std::ostream& {
    return text << std::left << std::setw(31) << (std::string(name) + ":");
  };
  line("Device id") << id << "\n";
  line("Major revision number") << gpu.major << "\n";
  line("Minor revision number") << gpu.minor << "\n";
  line("Name") << gpu.name << "\n";
  line("Total global memory") << gpu.totalGlobalMem << "\n";
  line("Total shared memory per block") << gpu.sharedMemPerBlock << "\n";
  line("Total registers per block") << gpu.regsPerBlock << "\n";
  line("Warp size") << gpu.warpSize << "\n";
  line("Maximum threads per block") << gpu.maxThreadsPerBlock << "\n";
  line("Maximum dimension of block") << gpu.maxThreadsDim[0] << ", " << gpu.maxThreadsDim[1] << ", "
                                     << gpu.maxThreadsDim[2] << "\n";
  line("Maximum dimension of grid")
      << gpu.maxGridSize[0] << ", " << gpu.maxGridSize[1] << ", " << gpu.maxGridSize[2] << "\n";
  line("Total constant memory") << gpu.totalConstMem << "\n";
  line("Texture alignment") << gpu.textureAlignment << "\n";
  line("Number of multiprocessors") << gpu.multiProcessorCount;
  if (count() > 1) {
    text << "\n";
    line("Other GPUs' memory in reach") << reachable_from(id);
  }
  return text.str();
}

void wait() {
  note_host_work(kWaits);
  check_gpu(cudaStreamSynchronize(GpuContext::current().stream()), "waiting for the GPU");
}

// ---- events

namespace {

/// Events that are not in use, of each GPU: with their time, and without.
struct Spare {
  std::mutex mutex;
  std::map<int, std::vector<cudaEvent_t>> events[2];

  static Spare& get() {
    static Spare& all = *new Spare();  // events may be given back when the process ends
    return all;
  }
};

Event take_event(int device, bool timed) {
  Spare& spare = Spare::get();
  cudaEvent_t event = nullptr;
  {
    const std::lock_guard<std::mutex> lock(spare.mutex);
    std::vector<cudaEvent_t>& mine = spare.events[timed][device];
    if (!mine.empty()) {
      event = mine.back();
      mine.pop_back();
    }
  }
  if (event == nullptr) {
    check_gpu(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming),
              "making an event");
  }
  return Event(event, [device, timed](cudaEvent_t used) {
    if (is_parents_gpu()) return;
    Spare& all = Spare::get();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.events[timed][device].push_back(used);
  });
}

Event record(GpuContext* context, Stream stream, bool timed) {
  note_host_work("works with other streams");
  const Event event = take_event(context->device(), timed);
  check_gpu(cudaEventRecord(event.get(), stream), "marking a place in a stream");
  return event;
}

}  // namespace

Stream copy_stream() {
  return GpuContext::current().copy_stream();
}

Event record() {
  GpuContext& mine = GpuContext::current();
  return record(&mine, mine.stream(), false);
}

Event record(Stream stream) {
  return record(&GpuContext::current(), stream, false);
}

void wait_for(const Event& event) {
  if (event != nullptr) wait_for(event, GpuContext::current().stream());
}

void wait_for(const Event& event, Stream stream) {
  if (event == nullptr) return;
  note_host_work("works with other streams");
  check_gpu(cudaStreamWaitEvent(stream, event.get(), 0), "waiting for another stream");
}

bool is_done(const Event& event) {
  if (event == nullptr) return true;
  note_host_work(kWaits);
  const cudaError_t status = cudaEventQuery(event.get());
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check_gpu(status, "asking for the GPU's progress");
  return true;
}

void finish(const Event& event) {
  if (event == nullptr || is_parents_gpu() || is_done(event)) return;
  check_gpu(cudaEventSynchronize(event.get()), "waiting for the GPU");
}

Event record_time() {
  GpuContext& mine = GpuContext::current();
  return record(&mine, mine.stream(), true);
}

float milliseconds(const Event& from, const Event& to) {
  float time = 0;
  finish(from);
  finish(to);
  check_gpu(cudaEventElapsedTime(&time, from.get(), to.get()), "measuring time on the GPU");
  return time;
}

}  // namespace device
}  // namespace caffe
