#include "caffe/util/device.hpp"

#include <cstdlib>
#include <cstring>
#include <iomanip>

#include "caffe/util/error.hpp"

namespace caffe {
namespace device {

bool is_asked_for(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

bool allows_tf32() {
  static const bool asked = is_asked_for("CAFFE_TF32");
  return asked;
}

#ifdef __CUDACC__

namespace {

void check(cudaError_t status, const char* what) {
  CAFFE_CHECK(status == cudaSuccess, what << ": " << cudaGetErrorString(status));
}

}  // namespace

int count() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess ? devices : 0;
}

bool usable(int id) {
  if (id < 0 || id >= count()) return false;
  int before = 0;
  cudaGetDevice(&before);
  const bool works = cudaSetDevice(id) == cudaSuccess && cudaFree(nullptr) == cudaSuccess;
  cudaGetLastError();  // a failure above must not be reported for a later call
  cudaSetDevice(before);
  return works;
}

void select(int id) {
  CAFFE_CHECK(id >= 0 && id < count(),
              "there is no GPU " << id << ": the CUDA runtime finds " << count());
  check(cudaSetDevice(id), "selecting a GPU");
}

int current() {
  int id = 0;
  check(cudaGetDevice(&id), "finding the current GPU");
  return id;
}

std::string properties(int id) {
  CAFFE_CHECK(id >= 0 && id < count(),
              "there is no GPU " << id << ": the CUDA runtime finds " << count());
  cudaDeviceProp gpu;
  check(cudaGetDeviceProperties(&gpu, id), "reading a GPU's properties");
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
  return text.str();
}

void wait() {
  check(cudaDeviceSynchronize(), "waiting for the GPU");
}

void* allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status != cudaSuccess) {
    cudaGetLastError();
    CAFFE_FAIL("cannot allocate " << bytes << " bytes on the GPU (" << cudaGetErrorString(status)
                                  << "): use a smaller batch_size");
  }
  return memory;
}

void release(void* memory) noexcept {
  cudaFree(memory);
}

void fill_zero(void* memory, size_t bytes) {
  check(cudaMemset(memory, 0, bytes), "clearing GPU memory");
}

void copy(void* to, const void* from, size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copying from or to the GPU");
}

void* allocate_pinned(size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "allocating pinned memory");
  return memory;
}

void release_pinned(void* memory) noexcept {
  cudaFreeHost(memory);
}

#else  // plain C++

namespace {

[[noreturn]] void fail() {
  throw Error(
      "GPU mode was requested, but this Caffe was built without CUDA: write solver_mode: CPU "
      "in the solver, leave -gpu out, or call caffe.set_mode_cpu()");
}

}  // namespace

int count() {
  return 0;
}
bool usable(int) {
  return false;
}
void select(int) {
  fail();
}
int current() {
  fail();
}
std::string properties(int) {
  fail();
}
void wait() {
  fail();
}
void* allocate(size_t) {
  fail();
}
void release(void*) noexcept {}
void fill_zero(void*, size_t) {
  fail();
}
void copy(void*, const void*, size_t) {
  fail();
}
void* allocate_pinned(size_t bytes) {
  const size_t alignment = 64;  // a multiple of it is what aligned_alloc takes
  void* const memory =
      std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  CAFFE_CHECK(memory != nullptr, "cannot allocate "
                                     << bytes << " bytes of memory: use a smaller "
                                     << "batch_size, or free memory on this machine");
  return memory;
}
void release_pinned(void* memory) noexcept {
  std::free(memory);
}

#endif

}  // namespace device
}  // namespace caffe
