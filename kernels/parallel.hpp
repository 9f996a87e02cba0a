#ifndef KERNELS_PARALLEL_HPP_
#define KERNELS_PARALLEL_HPP_

// One source for CPU and GPU.
//
// The arithmetic of every layer is a functor with a `MAAP_HD` call operator; this header runs it: -
// parallel_for(device, n, f) calls f(i) for i in [0, n): an OpenMP loop or a grid-stride launch. -
// parallel_teams(device, n, work, f) calls f(i, team) for i in [0, n): for work on one image that
//   needs more than one step (histogram, labelling). A team is one thread on the CPU (OpenMP over
//   the items) and one block on the GPU.
//
// Code inside a functor follows three rules: literals are typed (`T(0.5)`; a bare 0.5 makes the GPU
// compute in double), shared results go through the team's atomics, and all threads reach every
// team.sync().
//
// A .cu file is compiled by nvcc in a CUDA build and as plain C++ otherwise. If both compiled the
// same template into one library, two different functions would have one name; the #error below
// prevents it. Results are the same bit for bit on both devices only without fused multiply-add,
// hence the build's -ffp-contract=off and --fmad=false. docs/design.md names the few other files
// with CUDA conditionals.

#include <omp.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/device.hpp"
#include "kernels/error.hpp"
#include "kernels/stream.hpp"

#ifdef MAAP_SHADOW
#include "tests/shadow/launch.hpp"
#endif

#if defined(MAAP_CUDA) && !defined(__CUDACC__) && !defined(MAAP_CU_FILE)
#error \
    "parallel.hpp in a CUDA build belongs to files that nvcc compiles: rename the including file to .cu"
#endif

#ifdef __CUDACC__
#define MAAP_HD __host__ __device__
#else
#define MAAP_HD
#endif

#ifdef __CUDA_ARCH__
#define MAAP_SIMD
#define MAAP_SIMD_RANGE(low, high)
#define MAAP_SIMD_SUM(...)
#else
/// Declares that the loop below has no dependency between iterations, though an iteration may read
/// and write the same element.
#define MAAP_SIMD _Pragma("omp simd")
/// The same for a loop that computes the minimum `low` and the maximum `high`.
#define MAAP_PRAGMA(...) _Pragma(#__VA_ARGS__)
#define MAAP_SIMD_RANGE(low, high) MAAP_PRAGMA(omp simd reduction(min : low) reduction(max : high))
/// The same for a loop that computes one or more sums.
#define MAAP_SIMD_SUM(...) MAAP_PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#endif

namespace maap {

/// Bytes of fast memory (stack or shared memory) that a team may use.
constexpr int kTeamScratch = 8192;

/// A team of one thread, on the CPU or, without scratch, on a GPU. Its size is known at compile
/// time, so the loops over `size` cost nothing.
class CpuTeam {
 public:
  MAAP_HD explicit CpuTeam(int slot = 0, void* scratch = nullptr)
      : slot_(slot), scratch_(scratch) {}
  static constexpr MAAP_HD int rank() { return 0; }
  static constexpr MAAP_HD int size() { return 1; }
  MAAP_HD int slot() const { return slot_; }
  MAAP_HD void* scratch() const { return scratch_; }
  MAAP_HD void sync() const {}
  MAAP_HD void add(int* p, int v) const { *p += v; }
  /// Lowers *p to v and returns the previous value.
  MAAP_HD int lower(int* p, int v) const {
    const int old = *p;
    if (v < old) *p = v;
    return old;
  }
  template <typename T>
  MAAP_HD T min(T v) const {
    return v;
  }
  template <typename T>
  MAAP_HD T max(T v) const {
    return v;
  }
  template <typename T>
  MAAP_HD T sum(T v) const {
    return v;
  }

 private:
  int slot_;
  void* scratch_;
};

/// The largest number of teams that run at the same time: parallel_teams needs as many workspaces.
inline int team_slots(Device device, int n) {
  return std::max(1, std::min(n, device == Device::kCPU ? omp_get_max_threads() : 256));
}

inline void set_threads(int n) {
  omp_set_num_threads(std::max(1, n));
}

namespace internal {

/// Below this number of elements, waking other threads costs more than it saves.
constexpr int64_t kWorthThreads = 16384;

/// Each thread has its own copy of the functor, which its writes cannot alias, and the index is an
/// int, so the compiler vectorises: a x + b y takes a third of the time.
template <typename F>
void cpu_for(int64_t n, int64_t work, const F& f) {
  const int end = static_cast<int>(n);
#pragma omp parallel if (n > 1 && n * work >= kWorthThreads)
  {
    const F own = f;
#pragma omp for schedule(static)
    for (int i = 0; i < end; ++i) own(i);
  }
}

template <typename F>
void cpu_teams(int n, int64_t work, const F& f) {
#pragma omp parallel num_threads(team_slots(Device::kCPU, n)) if (n * work >= kWorthThreads)
  {
    alignas(64) char scratch[kTeamScratch];
    CpuTeam team(omp_get_thread_num(), scratch);
#pragma omp for schedule(dynamic, 1)
    for (int i = 0; i < n; ++i) f(i, team);
  }
}

}  // namespace internal

#if MAAP_GPU

constexpr bool kBuiltWithGpu = true;

/// A team of one block. `min`, `max` and `sum` reduce over the block, always in the same order, and
/// return the result to every thread.
class GpuTeam {
 public:
  static constexpr int kThreads = 256;
  MAAP_HD GpuTeam(int slot, void* scratch, unsigned long long* exchange)
      : slot_(slot), scratch_(scratch), exchange_(exchange) {}
#ifdef __CUDA_ARCH__
  MAAP_HD int rank() const { return threadIdx.x; }
  MAAP_HD void sync() const { __syncthreads(); }
  MAAP_HD void add(int* p, int v) const { atomicAdd(p, v); }
  MAAP_HD int lower(int* p, int v) const { return atomicMin(p, v); }
#elif defined(MAAP_SHADOW)
  int rank() const { return shadow::thread_rank(); }
  void sync(const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
    shadow::barrier(file, line);
  }
  void add(int* p, int v) const { shadow::atomic_add(p, v); }
  int lower(int* p, int v) const { return shadow::atomic_lower(p, v); }
#else  // never runs, but the host also compiles the template
  MAAP_HD int rank() const { return 0; }
  MAAP_HD void sync() const {}
  MAAP_HD void add(int*, int) const {}
  MAAP_HD int lower(int* p, int) const { return *p; }
#endif
  static constexpr MAAP_HD int size() { return kThreads; }
  MAAP_HD int slot() const { return slot_; }
  MAAP_HD void* scratch() const { return scratch_; }
  template <typename T>
  MAAP_HD T min(T v) const {
    return reduce(v, Lesser());
  }
  template <typename T>
  MAAP_HD T max(T v) const {
    return reduce(v, Greater());
  }
  template <typename T>
  MAAP_HD T sum(T v) const {
    return reduce(v, Sum());
  }

 private:
  struct Lesser {
    template <typename T>
    MAAP_HD T operator()(T a, T b) const {
      return b < a ? b : a;
    }
  };
  struct Greater {
    template <typename T>
    MAAP_HD T operator()(T a, T b) const {
      return a < b ? b : a;
    }
  };
  struct Sum {
    template <typename T>
    MAAP_HD T operator()(T a, T b) const {
      return a + b;
    }
  };
  template <typename T, typename F>
  MAAP_HD T reduce(T v, const F& combine) const {
    static_assert(sizeof(T) <= sizeof(*exchange_), "one slot a thread");
    T* all = reinterpret_cast<T*>(exchange_);
    sync();
    all[rank()] = v;
    sync();
    for (int half = kThreads / 2; half > 0; half /= 2) {
      if (rank() < half) all[rank()] = combine(all[rank()], all[rank() + half]);
      sync();
    }
    return all[0];
  }
  int slot_;
  void* scratch_;
  unsigned long long* exchange_;
};

namespace internal {

#ifdef MAAP_SHADOW

template <typename F>
void launch_for(int64_t n, const F& f) {
  shadow::launch_elements(current_stream(), n, f);
}

/// What a thread of a block of a team does.
struct TeamsKernel {
  int n, blocks;
  template <typename F>
  void operator()(const F& f, const shadow::BlockMemory& memory) const {
    static_assert(GpuTeam::kThreads == shadow::kTeamThreads, "a block of the shadow device");
    char* const scratch = static_cast<char*>(memory.shared);
    GpuTeam team(memory.block, scratch,
                 reinterpret_cast<unsigned long long*>(scratch + kTeamScratch));
    for (int i = memory.block; i < n; i += blocks) {
      f(i, team);
      team.sync();
    }
  }
};

template <typename F>
void launch_teams(int blocks, int n, const F& f) {
  constexpr size_t kShared = kTeamScratch + GpuTeam::kThreads * sizeof(unsigned long long);
  shadow::launch_teams(current_stream(), blocks, f, TeamsKernel{n, blocks}, kShared);
}

#else

constexpr unsigned kThreadsOfFor = 128;

/// Not unrolled: to find the number of turns takes a division, which costs a thread more than its
/// elements do.
template <typename F>
__global__ void for_kernel(unsigned n, F f) {
  const unsigned step = gridDim.x * kThreadsOfFor;
#pragma unroll 1
  for (unsigned i = blockIdx.x * kThreadsOfFor + threadIdx.x; i < n; i += step) {
    f(static_cast<int>(i));
  }
}

/// F::kLeastBlocks, the blocks per multiprocessor that a functor's teams need at least, or 0. With
/// 0 the compiler may save registers for more blocks and keep variables in memory instead.
template <typename F, typename = void>
struct LeastBlocks : std::integral_constant<int, 0> {};
template <typename F>
struct LeastBlocks<F, std::enable_if_t<(F::kLeastBlocks > 0)>>
    : std::integral_constant<int, F::kLeastBlocks> {};

template <typename F>
__global__ void __launch_bounds__(GpuTeam::kThreads, LeastBlocks<F>::value)
    teams_kernel(int n, F f) {
  __shared__ alignas(16) char scratch[kTeamScratch];
  __shared__ unsigned long long exchange[GpuTeam::kThreads];
  GpuTeam team(blockIdx.x, scratch, exchange);
  for (int i = blockIdx.x; i < n; i += gridDim.x) {
    f(i, team);
    __syncthreads();
  }
}

template <typename F>
void launch_for(int64_t n, const F& f) {
  // An element for each thread if that is little work, else four: to start blocks takes time, too.
  constexpr int64_t kFewBlocks = 8192;
  const int64_t each = (n + kThreadsOfFor - 1) / kThreadsOfFor;
  const int64_t blocks = std::min(each, std::max(kFewBlocks, (each + 3) / 4));
  for_kernel<<<static_cast<unsigned>(blocks), kThreadsOfFor, 0, current_stream()>>>(
      static_cast<unsigned>(n), f);
}

template <typename F>
void launch_teams(int blocks, int n, const F& f) {
  teams_kernel<<<blocks, GpuTeam::kThreads, 0, current_stream()>>>(n, f);
}

#endif

inline void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw Error(std::string(what) + ": " + cudaGetErrorString(status) +
                " (run under compute-sanitizer to find the access that failed)");
  }
}

template <typename F>
void gpu_for(int64_t n, const F& f) {
  launch_for(n, f);
  check_cuda(cudaGetLastError(), "CUDA kernel launch");
}

template <typename F>
void gpu_teams(int n, const F& f) {
  launch_teams(team_slots(Device::kGPU, n), n, f);
  check_cuda(cudaGetLastError(), "CUDA kernel launch");
}

}  // namespace internal

#else

constexpr bool kBuiltWithGpu = false;

namespace internal {

template <typename F>
void gpu_for(int64_t, const F&) {
  throw Error(
      "GPU mode was requested, but the MAAP layers were built without CUDA: build with "
      "-DUSE_CUDA=ON");
}

template <typename F>
void gpu_teams(int n, const F& f) {
  gpu_for(n, f);
}

}  // namespace internal

#endif

/// Blobs larger than this are written past the caches: they would not stay there until the next
/// reader needs them.
constexpr int64_t kStreamBytes = int64_t(8) << 20;

/// out[j] = value(j) for j in [0, n). `past_cache` writes whole cache lines without reading them
/// first, as memcpy does with large blocks: a third less traffic. The caller calls
/// written_past_cache() when done.
template <typename T, typename F>
MAAP_HD inline void write_row(T* out, int n, bool past_cache, const F& value) {
  int j = 0;
#if defined(__SSE2__) && !defined(__CUDA_ARCH__)
  if (past_cache) {
    constexpr int kLine = 64 / sizeof(T), kVector = 16 / sizeof(T);
    for (; j < n && reinterpret_cast<uintptr_t>(out + j) % 64 != 0; ++j) out[j] = value(j);
    for (; j + kLine <= n; j += kLine) {
      alignas(64) T line[kLine];
      MAAP_SIMD for (int k = 0; k < kLine; ++k) line[k] = value(j + k);
      for (int k = 0; k < kLine; k += kVector) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + j + k),
                         _mm_load_si128(reinterpret_cast<const __m128i*>(line + k)));
      }
    }
    for (; j < n; ++j) out[j] = value(j);
    return;
  }
#endif
  (void)past_cache;
  MAAP_SIMD for (int k = j; k < n; ++k) out[k] = value(k);
}

/// Makes the values that write_row wrote visible to other threads.
MAAP_HD inline void written_past_cache() {
#if defined(__SSE2__) && !defined(__CUDA_ARCH__)
  _mm_sfence();
#endif
}

/// Calls f(i) for every i in [0, n); n < 2^31, like Caffe's counts.
template <typename F>
void parallel_for(Device device, int64_t n, const F& f) {
  if (n <= 0) return;
  if (device == Device::kCPU) {
    internal::cpu_for(n, 1, f);
  } else {
    internal::gpu_for(n, f);
  }
}

/// The same work divided in two ways: on the CPU into pieces of `cpu_work` elements, wide enough
/// for vectors and caches; on the GPU into single elements.
template <typename CpuF, typename GpuF>
void parallel_for(Device device, int64_t cpu_n, int64_t cpu_work, const CpuF& cpu_f, int64_t gpu_n,
                  const GpuF& gpu_f) {
  if (cpu_n <= 0 || gpu_n <= 0) return;
  if (device == Device::kCPU) {
    internal::cpu_for(cpu_n, cpu_work, cpu_f);
  } else {
    internal::gpu_for(gpu_n, gpu_f);
  }
}

/// Calls f(i, team) for every i in [0, n); each call processes about `work` elements.
template <typename F>
void parallel_teams(Device device, int n, int64_t work, const F& f) {
  if (n <= 0) return;
  if (device == Device::kCPU) {
    internal::cpu_teams(n, work, f);
  } else {
    internal::gpu_teams(n, f);
  }
}

}  // namespace maap

#endif  // KERNELS_PARALLEL_HPP_
