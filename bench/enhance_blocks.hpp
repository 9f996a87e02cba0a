#ifndef BENCH_ENHANCE_BLOCKS_HPP_
#define BENCH_ENHANCE_BLOCKS_HPP_

// A GPU's blocks for bench/enhance_tiles.hpp, and the kernel that runs a tile's functor by them.

#include <cuda_pipeline_primitives.h>

#include <cuda/barrier>

#include "bench/enhance_variants.hpp"

namespace enhance_ways {

/// Memory that is not read or written again soon may leave the caches first.
template <bool kLoads, bool kStores>
struct HintedMemory {
  static __device__ float read(const float* p, Floats<1>*) { return __ldcs(p); }
  static __device__ float2 read(const float* p, Floats<2>*) {
    return __ldcs(reinterpret_cast<const float2*>(p));
  }
  static __device__ float4 read(const float* p, Floats<4>*) {
    return __ldcs(reinterpret_cast<const float4*>(p));
  }
  static __device__ void write(float* p, const Floats<1>& v) { __stcs(p, v.x[0]); }
  static __device__ void write(float* p, const Floats<2>& v) {
    __stcs(reinterpret_cast<float2*>(p), make_float2(v.x[0], v.x[1]));
  }
  static __device__ void write(float* p, const Floats<4>& v) {
    __stcs(reinterpret_cast<float4*>(p), make_float4(v.x[0], v.x[1], v.x[2], v.x[3]));
  }

  template <int n>
  static __device__ Floats<n> load(const float* p) {
    if constexpr (kLoads) {
      Floats<n> result;
      const auto got = read(p, &result);
      static_assert(sizeof got == sizeof result, "n floats");
      memcpy(&result, &got, sizeof result);
      return result;
    } else {
      return PlainMemory::load<n>(p);
    }
  }
  template <int n>
  static __device__ void store(float* p, const Floats<n>& values) {
    if constexpr (kStores) {
      write(p, values);
    } else {
      PlainMemory::store<n>(p, values);
    }
  }
};

/// One of kParts teams of a block; what is said there of a block is true of a team.
template <int kThreads, int kParts>
class Team {
 public:
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __device__ Team(float* scratch, Barrier* barrier)
      : part_(threadIdx.x / kThreads), scratch_(scratch), barrier_(barrier) {}
  __device__ int rank() const { return threadIdx.x % kThreads; }
  __device__ int index() const { return blockIdx.x * kParts + part_; }
  __device__ int count() const { return gridDim.x * kParts; }
  __device__ float* scratch() const { return scratch_; }
  __device__ void sync() const {
    if constexpr (kParts == 1) {
      __syncthreads();
    } else {
      asm volatile("bar.sync %0, %1;" ::"r"(part_ + 1), "n"(kThreads) : "memory");
    }
  }
  __device__ void copy(float* to, const float* from) const {
    __pipeline_memcpy_async(to, from, 16);
  }
  __device__ void commit() const { __pipeline_commit(); }
  __device__ void wait(bool one_more) const {
    if (one_more) {
      __pipeline_wait_prior(1);
    } else {
      __pipeline_wait_prior(0);
    }
  }
  /// From Hopper on by the unit that copies whole rows.
  __device__ void copy_row(float* to, const float* from, int n) const {
    cuda::memcpy_async(to, from, cuda::aligned_size_t<16>(n * sizeof(float)), *barrier_);
  }
  __device__ void wait_rows() const { barrier_->arrive_and_wait(); }

 private:
  int part_;
  float* scratch_;
  Barrier* barrier_;
};

/// Whether a tile's functor copies rows, which takes a barrier that must be made first.
template <class Way, bool = Way::kStaged>
struct CopiesRows : std::false_type {};
template <class Way>
struct CopiesRows<Way, true> : std::integral_constant<bool, Way::kBulk> {};

template <class Way, class Tile>
__device__ void run_tile(const Tile& tile) {
  using Block = Team<Way::kThreads, Way::kParts>;
  extern __shared__ float4 memory[];
  float* const scratch =
      reinterpret_cast<float*>(memory) + threadIdx.x / Way::kThreads * Tile::scratch();
  if constexpr (CopiesRows<Way>::value) {
    __shared__ alignas(typename Block::Barrier) char place[sizeof(typename Block::Barrier)];
    auto* const barrier = reinterpret_cast<typename Block::Barrier*>(place);
    if (threadIdx.x == 0) init(barrier, Way::kThreads);
    __syncthreads();
    tile(Block(scratch, barrier));
  } else {
    tile(Block(scratch, nullptr));
  }
}

template <class Way, class Tile>
__global__ void __launch_bounds__(Way::kThreads* Way::kParts) tile_kernel(Tile tile) {
  run_tile<Way>(tile);
}

/// With fewer registers than the compiler chooses, for more blocks at a time (CUDA 12.4 or newer).
/// As a number of blocks in __launch_bounds__ it would be an error for GPUs with room for less
/// threads.
template <class Way, class Tile>
__global__ void __maxnreg__(Way::kRegisters) lean_kernel(Tile tile) {
  run_tile<Way>(tile);
}

template <class Way, class Tile>
auto kernel_of(const Tile&) {
  if constexpr (Way::kRegisters > 0) {
    return lean_kernel<Way, Tile>;
  } else {
    return tile_kernel<Way, Tile>;
  }
}

}  // namespace enhance_ways

#endif  // BENCH_ENHANCE_BLOCKS_HPP_
