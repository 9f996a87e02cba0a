#ifndef TESTS_SHADOW_TEAM_HPP_
#define TESTS_SHADOW_TEAM_HPP_

// Teams: blocks of threads that are fibers of one host thread. A fiber runs until a barrier, an
// atomic operation or its end; which one runs next is random.

#include <cstddef>
#include <cstdint>
#include <functional>

namespace shadow {

constexpr int kTeamThreads = 256;
constexpr int kWarpThreads = 32;
/// The largest size of a block's shared memory.
constexpr size_t kMostSharedBytes = 48 << 10;

/// What a block's threads share. Before a block starts, its memory is filled with a pattern.
struct BlockMemory {
  int block;
  void* shared;
};

/// The number of the calling thread of a team.
int thread_rank();
/// Waits for all threads of the block; throws a Fault if some have ended or wait elsewhere.
void barrier(const char* file, int line);
/// The same for the 32 threads of the calling thread's warp.
void warp_barrier(const char* file, int line);
/// A point where another thread may go first: atomic operations call it.
void maybe_yield();

/// Atomic operations on memory that other threads change as well; each returns the old value.
template <typename T>
T atomic_add(T* p, T v) {
  maybe_yield();
  return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
template <typename T>
T atomic_lower(T* p, T v) {
  maybe_yield();
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (v < old &&
         !__atomic_compare_exchange_n(p, &old, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}

/// Runs `blocks` blocks in a random order, one after the other; `thread` is what each of a block's
/// threads does.
void run_teams(int blocks, size_t shared_bytes, uint64_t seed,
               const std::function<void(const BlockMemory&)>& thread);

}  // namespace shadow

#endif  // TESTS_SHADOW_TEAM_HPP_
