#ifndef TESTS_SHADOW_SETTINGS_HPP_
#define TESTS_SHADOW_SETTINGS_HPP_

// The shadow device's own view of what control.hpp offers to tests.

#include <cuda_runtime.h>
#include <nccl.h>

#include <atomic>

#include "tests/shadow/control.hpp"

namespace shadow {

struct AtomicCounts {
  std::atomic<int64_t> launches{0}, library_calls{0}, fills{0}, graph_launches{0},
      synchronisations{0}, allocations{0}, pinned_allocations{0}, copies_to_host{0},
      copies_to_device{0}, copies_on_device{0}, bytes_to_host{0}, bytes_to_device{0},
      bytes_on_device{0}, largest_to_host{0}, memory_in_use{0}, memory_peak{0};
};

struct Settings {
  std::atomic<int> devices{1};
  std::atomic<int> driver{CUDART_VERSION};
  std::atomic<int> nccl{NCCL_VERSION_CODE};
  std::atomic<int> capability{90};
  std::atomic<size_t> memory{size_t(8) << 30};
  std::atomic<int> failing_allocation{0}, failing_launch{0}, failing_collective{0},
      failing_capture{0};
  std::atomic<bool> failing_launch_is_sticky{false};
  std::atomic<bool> computes{true};
  std::atomic<cudaError_t> sticky{cudaSuccess};
  std::atomic<unsigned> seed{1};
  std::atomic<uint64_t> draws{0};  // numbers drawn since the seed was set
};

/// Never destroyed: static objects of the tested program use the device until the very end.
Settings& settings();
AtomicCounts& tallies();
/// Remembers the name of a functor that was launched.
void note_kernel(const std::string& name);
/// Remembers an operation that was queued, if record_operations() asks for it.
void note_operation(const std::string& name, int device);
/// Raises a tally to `value` if it is lower.
void raise(std::atomic<int64_t>* tally, int64_t value);
/// The next number of the seed's sequence.
uint64_t draw();
/// True at the call that a count set by fail_*() stands for.
bool is_due(std::atomic<int>* remaining);

/// The calling thread's device.
int current_device();
void set_current_device(int device);

/// Keeps the calling thread's last error, as the runtime does, and returns it.
cudaError_t note(cudaError_t error);
/// The error of every call to a runtime that cannot work: no driver, no device, a process that was
/// forked after the first call, a sticky error. Else cudaSuccess.
cudaError_t state();

}  // namespace shadow

#endif  // TESTS_SHADOW_SETTINGS_HPP_
