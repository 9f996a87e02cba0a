#ifndef TESTS_SHADOW_LAUNCH_HPP_
#define TESTS_SHADOW_LAUNCH_HPP_

// Kernels on the shadow device; kernels/parallel.hpp launches them. Two shapes exist: one call for
// each element, and teams of threads with barriers.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "tests/shadow/random.hpp"
#include "tests/shadow/team.hpp"

namespace shadow {

/// Appends a kernel to a stream of the current device, unless the launch fails: then
/// cudaPeekAtLastError() says why. Throws a Fault if the functor holds the address of host memory
/// or of a block that was freed.
void launch(cudaStream_t stream, const std::type_info& functor, const void* bytes, size_t size,
            std::function<void(uint64_t seed)> run);

/// Calls chunk(begin, end, backwards) for pieces of [0, n), in a random order.
void run_elements(int64_t n, uint64_t seed,
                  const std::function<void(int64_t begin, int64_t end, bool backwards)>& chunk);

/// Launches f, whose words are looked at. Bytes that belong to no member may hold anything, and are
/// cleared.
template <typename F>
void launch_functor(cudaStream_t stream, const F& f, std::function<void(uint64_t seed)> run) {
  static_assert(std::is_trivially_copyable<F>::value,
                "a launch copies the functor's bytes to the GPU: it must be trivially copyable");
  alignas(F) unsigned char bytes[sizeof(F)];
  std::memcpy(bytes, &f, sizeof f);
  __builtin_clear_padding(reinterpret_cast<F*>(bytes));
  launch(stream, typeid(F), bytes, sizeof bytes, std::move(run));
}

/// f(i) for every i in [0, n), in a random order.
template <typename F>
void launch_elements(cudaStream_t stream, int64_t n, const F& f) {
  launch_functor(stream, f, [n, f](uint64_t seed) {
    const F own = f;
    run_elements(n, seed, [&own](int64_t begin, int64_t end, bool backwards) {
      const int first = static_cast<int>(begin), last = static_cast<int>(end - 1);
      if (backwards) {
        for (int i = last; i >= first; --i) own(i);
      } else {
        for (int i = first; i <= last; ++i) own(i);
      }
    });
  });
}

/// A kernel of `blocks` blocks of kTeamThreads threads that share `shared_bytes` of memory:
/// body(f, block) is what a thread does.
template <typename F, typename Body>
void launch_teams(cudaStream_t stream, int blocks, const F& f, const Body& body,
                  size_t shared_bytes = kMostSharedBytes) {
  launch_functor(stream, f, [blocks, shared_bytes, f, body](uint64_t seed) {
    const F own = f;
    run_teams(blocks, shared_bytes, seed,
              [&own, &body](const BlockMemory& block) { body(own, block); });
  });
}

}  // namespace shadow

#endif  // TESTS_SHADOW_LAUNCH_HPP_
