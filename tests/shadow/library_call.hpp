#ifndef TESTS_SHADOW_LIBRARY_CALL_HPP_
#define TESTS_SHADOW_LIBRARY_CALL_HPP_

// What the stand-ins for the vendor's libraries (cuBLAS, cuRAND, cuDNN) have in common: they check
// the memory that they are given, and append an operation to a stream.

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace shadow {

/// Whether a library can work at all: a device is there, no sticky error.
bool library_works();
/// Whether it can, and this thread captures no stream: for calls that allocate or free memory.
bool library_may_allocate();
/// Throws a Fault unless these bytes (if any) are in one block of device memory. `who` is for the
/// message.
void check_memory(const char* who, const void* memory, size_t bytes);
/// Appends an operation that touches the memory at `pointers`; false if the stream is none of the
/// current device's, or nothing works. With `waits`, the host waits for it (and that counts).
bool add_library_call(const char* name, cudaStream_t stream,
                      const std::vector<const void*>& pointers, std::function<void()> run,
                      bool waits = false);

}  // namespace shadow

#endif  // TESTS_SHADOW_LIBRARY_CALL_HPP_
