#ifndef TESTS_CPP_KERNELS_THREAD_TEAM_HPP_
#define TESTS_CPP_KERNELS_THREAD_TEAM_HPP_

// The kernels on threads of the operating system, which sanitizers know: the CPU's functors without
// OpenMP, and the GPU's teams as blocks whose threads are real. A test includes this file, then the
// kernels' .cu files with
//
//   #define parallel_for on_threads::parallel_for     (and parallel_teams ...)
//
// so that Device::kGPU runs the GPU's functors here.

#include <pthread.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/parallel.hpp"
#include "kernels/tiles.hpp"

namespace maap {
namespace on_threads {

/// Calls f(0) ... f(count - 1), each in a thread of its own.
template <typename F>
void run(int count, const F& f) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) threads.emplace_back([&f, rank] { f(rank); });
  for (auto& thread : threads) thread.join();
}

/// Data that the threads of one team share.
template <int kSize>
struct Shared {
  Shared() { pthread_barrier_init(&barrier, nullptr, kSize); }
  ~Shared() { pthread_barrier_destroy(&barrier); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  pthread_barrier_t barrier;
  alignas(64) char scratch[kTeamScratch];
  unsigned long long exchange[kSize];
};

/// A team of kSize threads, with the interface of CpuTeam and GpuTeam. As a GPU's, its atomic
/// operations order nothing else: only sync() makes one thread's writes visible to another.
template <int kSize>
class Team {
 public:
  Team(int rank, int slot, Shared<kSize>* shared) : rank_(rank), slot_(slot), shared_(shared) {}
  int rank() const { return rank_; }
  static constexpr int size() { return kSize; }
  int slot() const { return slot_; }
  void* scratch() const { return shared_->scratch; }
  void sync() const { pthread_barrier_wait(&shared_->barrier); }
  void add(int* p, int v) const { __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
  int lower(int* p, int v) const {
    int old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (v < old &&
           !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
  }
  template <typename T>
  T min(T v) const {
    return reduce(v, [](T a, T b) { return b < a ? b : a; });
  }
  template <typename T>
  T max(T v) const {
    return reduce(v, [](T a, T b) { return a < b ? b : a; });
  }
  template <typename T>
  T sum(T v) const {
    return reduce(v, [](T a, T b) { return a + b; });
  }

 private:
  template <typename T, typename F>
  T reduce(T v, const F& combine) const {
    static_assert(sizeof(T) <= sizeof(*shared_->exchange), "one slot a thread");
    T* const all = reinterpret_cast<T*>(shared_->exchange);
    sync();
    all[rank_] = v;
    sync();
    T total = all[0];
    for (int i = 1; i < kSize; ++i) total = combine(total, all[i]);
    return total;
  }
  int rank_, slot_;
  Shared<kSize>* shared_;
};

/// f(i, team) for i in [0, n) on `teams` teams at once, each of which takes every `teams`-th item.
template <int kSize, typename F>
void run_teams(int n, int teams, const F& f) {
  std::vector<std::unique_ptr<Shared<kSize>>> shared;
  for (int t = 0; t < teams; ++t) shared.push_back(std::make_unique<Shared<kSize>>());
  run(teams * kSize, [&](int thread) {
    const int slot = thread / kSize;
    const Team<kSize> team(thread % kSize, slot, shared[slot].get());
    for (int i = slot; i < n; i += teams) {
      f(i, team);
      team.sync();
    }
  });
}

constexpr int kThreads = 3;  // of the CPU's loops, and of the GPU's without teams

/// f(0) ... f(n - 1).
template <typename F>
void run_loop(int64_t n, const F& f) {
  run(kThreads, [&](int thread) {
    for (int64_t i = thread; i < n; i += kThreads) f(static_cast<int>(i));
  });
}

template <typename F>
void parallel_for(Device, int64_t n, const F& f) {
  run_loop(n, f);
}

template <typename CpuF, typename GpuF>
void parallel_for(Device device, int64_t cpu_n, int64_t, const CpuF& cpu_f, int64_t gpu_n,
                  const GpuF& gpu_f) {
  if (device == Device::kCPU) {
    run_loop(cpu_n, cpu_f);
  } else {
    run_loop(gpu_n, gpu_f);
  }
}

template <typename F>
void parallel_teams(Device device, int n, int64_t, const F& f) {
  if (device == Device::kCPU) {
    std::atomic<int> next(0);
    run(team_slots(device, n), [&](int thread) {
      alignas(64) char scratch[kTeamScratch];
      CpuTeam team(thread, scratch);
      for (int i = next++; i < n; i = next++) f(i, team);
    });
  } else {
    run_teams<8>(n, 2, f);
  }
}

/// The functors for tiles need the size that a team has on the GPU.
template <typename CpuF, typename GpuF>
void parallel_tiles(Device device, int64_t cpu_n, int64_t, const CpuF& cpu_f, int gpu_n,
                    const GpuF& gpu_f) {
  if (device == Device::kCPU) {
    run_loop(cpu_n, cpu_f);
  } else {
    run_teams<256>(gpu_n, 1, gpu_f);
  }
}

template <typename F>
void parallel_tile_teams(Device device, int n, int64_t work, const F& f) {
  on_threads::parallel_teams(device, n, work, f);
}

}  // namespace on_threads
}  // namespace maap

#endif  // TESTS_CPP_KERNELS_THREAD_TEAM_HPP_
