#ifndef TESTS_SHADOW_CONTROL_HPP_
#define TESTS_SHADOW_CONTROL_HPP_

// What tests ask of the shadow device and tell it: counts, faults to inject, the seed of its
// orders. Each setting can also come from the environment (README.md), so that programs and Python
// can be tested.

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace shadow {

/// A mistake of the tested program that the shadow device found. Thrown by the call that makes it,
/// or by the call that waits for the operation that made it.
class Fault : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// What all devices together have done since the start or since reset_counts().
struct Counts {
  int64_t launches = 0;       // of kernels of this repository
  int64_t library_calls = 0;  // of cuBLAS and cuDNN that compute
  int64_t fills = 0;          // cudaMemset and cudaMemsetAsync
  /// Of graphs. What a graph does counts once, when it is captured.
  int64_t graph_launches = 0;
  /// Times the host waited: synchronisations of a device, stream or event; copies that wait;
  /// cudaFree and cudaFreeHost; cudaMemcpyAsync from more than 64 KB of pageable memory.
  int64_t synchronisations = 0;
  int64_t allocations = 0;         // of device memory
  int64_t pinned_allocations = 0;  // of pinned host memory
  int64_t copies_to_host = 0, copies_to_device = 0, copies_on_device = 0;
  int64_t bytes_to_host = 0, bytes_to_device = 0, bytes_on_device = 0;
  int64_t largest_to_host = 0;                 // bytes of one copy
  int64_t memory_in_use = 0, memory_peak = 0;  // bytes of device memory
};
Counts counts();
/// All counts become zero, memory_in_use excepted; the peak becomes what is in use.
void reset_counts();
/// The counts as a JSON object with the names of Counts.
std::string counts_as_json();
/// The names of all functors that were launched, in alphabetical order.
std::vector<std::string> kernels();

/// Forgets the recorded operations, and records those of all devices from now on, or no more.
void record_operations(bool records);
/// Their names behind their devices, "0 kernel caffe::...", in the order in which they were queued.
std::vector<std::string> recorded_operations();

/// The n-th allocation of device memory from now on fails with cudaErrorMemoryAllocation; 1 is the
/// next one, 0 cancels.
void fail_allocation(int n);
/// The n-th kernel launch from now on fails with cudaErrorLaunchOutOfResources; 1 is the next one,
/// 0 cancels. A sticky failure is one that a kernel makes while it runs: every call that follows
/// returns cudaErrorLaunchFailure, until clear_sticky_error().
void fail_launch(int n, bool sticky = false);
/// The n-th call of NCCL from now on, of any rank, fails after it returned, with the error of a
/// lost connection; 1 is the next one, 0 cancels.
void fail_collective(int n);
/// The n-th call of cudaStreamEndCapture from now on that ends a capture fails with
/// cudaErrorStreamCaptureInvalidated, and gives no graph; 1 is the next one, 0 cancels.
void fail_capture(int n);
/// As CUDA loads kernels: from now on, the first launch of a kernel on a device, or the first call
/// of a library's function, is a Fault while NCCL has a call there that may wait for another rank.
/// On a GPU such a launch may wait for that call, and the other rank for this one.
void load_lazily(bool is_lazy);
/// As a new process would be: the only cure for a sticky error.
void clear_sticky_error();

/// Starts the sequence that chooses all orders: of operations, blocks, threads and elements.
void set_seed(unsigned seed);
unsigned seed();
/// Bytes of a device's memory; allocations beyond it fail.
void set_memory(size_t bytes);
/// Whether operations are carried out. If not, everything is checked and counted as ever, but no
/// device memory is touched, and copies to the host bring zeros: for counting what a large net asks
/// for.
void set_computes(bool computes);
/// The number of devices that the runtime finds.
void set_devices(int count);
/// The driver's version, as CUDA counts (13000 is 13.0); 0: no driver.
void set_driver(int version);
/// The version of NCCL that is loaded, 22809 for 2.28.9.
void set_nccl(int version);
/// The devices' compute capability, 90 for 9.0.
void set_capability(int capability);
/// Operations that wait in streams because nothing has waited for them yet.
int64_t operations_waiting();

}  // namespace shadow

#endif  // TESTS_SHADOW_CONTROL_HPP_
