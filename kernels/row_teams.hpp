#ifndef KERNELS_ROW_TEAMS_HPP_
#define KERNELS_ROW_TEAMS_HPP_

// Teams for rows of values: sums, softmax. On a GPU a row of up to kWarpRow values gets a warp,
// since most of a block's 256 threads would have nothing to do and all would wait for each other; a
// longer row gets a block. The grid of warps is as large as the GPU holds at once.
//
// A functor for row teams calls as many of its team's sync, min, max and sum for each row.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/parallel.hpp"
#include "kernels/tiles.hpp"

namespace maap {

/// Rows of up to so many values are a warp's: a thread then adds up at most 32.
constexpr int64_t kWarpRow = 1024;

#if MAAP_GPU

/// A team of one warp. min, max and sum return the same to every thread. It has no scratch.
class WarpTeam {
 public:
  static constexpr int kThreads = 32;
  static constexpr MAAP_HD int size() { return kThreads; }
#ifdef __CUDA_ARCH__
  MAAP_HD int rank() const { return threadIdx.x % kThreads; }
  MAAP_HD void sync() const { __syncwarp(); }
#elif defined(MAAP_SHADOW)
  explicit WarpTeam(unsigned long long* exchange) : exchange_(exchange) {}
  int rank() const { return shadow::thread_rank() % kThreads; }
  void sync(const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
    shadow::barrier(file, line);  // of all warps of the block, which do the same
  }
#else  // never runs, but the host also compiles the template
  MAAP_HD int rank() const { return 0; }
  MAAP_HD void sync() const {}
#endif
  template <typename T>
  MAAP_HD T min(T v) const {
    return reduce(v, [](const T& a, const T& b) { return b < a ? b : a; });
  }
  template <typename T>
  MAAP_HD T max(T v) const {
    return reduce(v, [](const T& a, const T& b) { return a < b ? b : a; });
  }
  template <typename T>
  MAAP_HD T sum(T v) const {
    return reduce(v, [](const T& a, const T& b) { return a + b; });
  }

 private:
  template <typename T, typename F>
  MAAP_HD T reduce(T v, const F& combine) const {
#pragma unroll
    for (int half = kThreads / 2; half > 0; half /= 2) v = combine(v, further(v, half));
    return of_first(v);
  }
#ifdef MAAP_SHADOW
  template <typename T>
  T further(const T& v, int ranks) const {
    return exchanged(v, std::min(rank() + ranks, kThreads - 1));
  }
  template <typename T>
  T of_first(const T& v) const {
    return exchanged(v, 0);
  }
  template <typename T>
  T exchanged(const T& v, int of) const {
    static_assert(sizeof(T) <= sizeof(*exchange_), "one slot a thread");
    const int warp = shadow::thread_rank() / kThreads;
    sync();
    std::memcpy(exchange_ + warp * kThreads + rank(), &v, sizeof(T));
    sync();
    T other;
    std::memcpy(&other, exchange_ + warp * kThreads + of, sizeof(T));
    return other;
  }
  unsigned long long* exchange_;
#else
  /// The value of the thread `ranks` further.
  template <typename T>
  MAAP_HD T further(const T& v, int ranks) const {
    return each_word(v, [=](unsigned word) { return shuffle_down(word, ranks); });
  }
  template <typename T>
  MAAP_HD T of_first(const T& v) const {
    return each_word(v, [](unsigned word) { return shuffle_first(word); });
  }
  template <typename T, typename F>
  static MAAP_HD T each_word(T v, const F& f) {
    constexpr int kWords = sizeof(T) / sizeof(unsigned);
    static_assert(sizeof(T) == kWords * sizeof(unsigned), "whole words");
    unsigned words[kWords];
    memcpy(words, &v, sizeof(T));
#pragma unroll
    for (int k = 0; k < kWords; ++k) words[k] = f(words[k]);
    memcpy(&v, words, sizeof(T));
    return v;
  }
#ifdef __CUDA_ARCH__
  static __device__ unsigned shuffle_down(unsigned word, int ranks) {
    return __shfl_down_sync(0xffffffffu, word, ranks);
  }
  static __device__ unsigned shuffle_first(unsigned word) {
    return __shfl_sync(0xffffffffu, word, 0);
  }
#else
  static MAAP_HD unsigned shuffle_down(unsigned word, int) { return word; }
  static MAAP_HD unsigned shuffle_first(unsigned word) { return word; }
#endif
#endif
};

namespace internal {

constexpr int kWarpsPerBlock = GpuTeam::kThreads / WarpTeam::kThreads;

#ifdef MAAP_SHADOW

/// What a thread does: full blocks of warps, so that all threads of a block meet.
struct WarpsKernel {
  int blocks;
  template <typename F>
  void operator()(const F& f, const shadow::BlockMemory& memory) const {
    const WarpTeam team(static_cast<unsigned long long*>(memory.shared));
    f(memory.block * kWarpsPerBlock + shadow::thread_rank() / WarpTeam::kThreads, team);
  }
};

/// The rows that fill no block of warps get blocks.
template <typename F>
struct RowsFrom {
  int first;
  F f;
  template <typename Team>
  void operator()(int i, const Team& team) const {
    f(first + i, team);
  }
};

template <typename F>
void launch_warps(int n, const F& f) {
  const int blocks = n / kWarpsPerBlock, rest = n % kWarpsPerBlock;
  if (blocks > 0) shadow::launch_teams(current_stream(), blocks, f, WarpsKernel{blocks});
  if (rest > 0) launch_teams(rest, rest, RowsFrom<F>{n - rest, f});
}

#else

template <typename F>
__global__ void __launch_bounds__(GpuTeam::kThreads) warps_kernel(int n, F f) {
  const WarpTeam team;
  const int first = blockIdx.x * kWarpsPerBlock + threadIdx.x / WarpTeam::kThreads;
  for (int i = first; i < n; i += gridDim.x * kWarpsPerBlock) f(i, team);
}

/// The number of blocks of warps_kernel<F> that the current GPU holds at once.
template <typename F>
int resident_blocks() {
  constexpr int kMostDevices = 64;
  static std::atomic<int> known[kMostDevices];  // 0: not asked yet
  int device = 0, multiprocessors = 0, blocks = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  if (device < kMostDevices && known[device] > 0) return known[device];
  check_cuda(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
             "cudaDeviceGetAttribute");
  check_cuda(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, warps_kernel<F>, GpuTeam::kThreads, 0),
      "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  const int resident = std::max(1, blocks * multiprocessors);
  if (device < kMostDevices) known[device] = resident;
  return resident;
}

template <typename F>
void launch_warps(int n, const F& f) {
  const int wanted = (n - 1) / kWarpsPerBlock + 1;
  const int blocks = std::min(wanted, resident_blocks<F>());
  warps_kernel<<<blocks, GpuTeam::kThreads, 0, current_stream()>>>(n, f);
}

#endif

template <typename F>
void gpu_row_teams(int n, int64_t length, const F& f) {
  if (length > kWarpRow) {
    gpu_tiles(n, f);
    return;
  }
  launch_warps(n, f);
  check_cuda(cudaGetLastError(), "CUDA kernel launch");
}

#else

namespace internal {

template <typename F>
void gpu_row_teams(int n, int64_t, const F& f) {
  gpu_for(n, f);
}

#endif

}  // namespace internal

/// Calls f(i, team) for each of n rows of about `length` values: by a team of one thread on the
/// CPU, of a warp or a block on the GPU.
template <typename F>
void parallel_row_teams(Device device, int n, int64_t length, const F& f) {
  if (n <= 0) return;
  if (device == Device::kCPU) {
    internal::cpu_teams(n, length, f);
  } else {
    internal::gpu_row_teams(n, length, f);
  }
}

}  // namespace maap

#endif  // KERNELS_ROW_TEAMS_HPP_
