#ifndef KERNELS_TILES_HPP_
#define KERNELS_TILES_HPP_

#include "kernels/parallel.hpp"

namespace maap {

namespace internal {

#if MAAP_GPU
template <typename F>
void gpu_tiles(int n, const F& f) {
  launch_teams(n, n, f);
  check_cuda(cudaGetLastError(), "CUDA kernel launch");
}
#else
template <typename F>
void gpu_tiles(int n, const F& f) {
  gpu_for(n, f);
}
#endif

}  // namespace internal

/// The same work as a loop over tiles on the CPU, cpu_f(i) for i in [0, cpu_n), and as one team per
/// tile on the GPU, gpu_f(i, team) for i in [0, gpu_n). Unlike those of parallel_teams, these teams
/// have no slot and so no workspace; as many run at the same time as fit.
template <typename CpuF, typename GpuF>
void parallel_tiles(Device device, int64_t cpu_n, int64_t cpu_work, const CpuF& cpu_f, int gpu_n,
                    const GpuF& gpu_f) {
  if (cpu_n <= 0 || gpu_n <= 0) return;
  if (device == Device::kCPU) {
    internal::cpu_for(cpu_n, cpu_work, cpu_f);
  } else {
    internal::gpu_tiles(gpu_n, gpu_f);
  }
}

/// The same functor on both devices: f(i, team) for i in [0, n), by a team of one thread on the CPU
/// and a block on the GPU; each call processes about `work` elements. Without slots, as above.
template <typename F>
void parallel_tile_teams(Device device, int n, int64_t work, const F& f) {
  if (n <= 0) return;
  if (device == Device::kCPU) {
    internal::cpu_teams(n, work, f);
  } else {
    internal::gpu_tiles(n, f);
  }
}

/// The same value, but what was computed with it before is not kept in registers for later.
MAAP_HD inline int anew(int value) {
#if defined(__CUDA_ARCH__)
  asm("" : "+r"(value));
#endif
  return value;
}

}  // namespace maap

#endif  // KERNELS_TILES_HPP_
