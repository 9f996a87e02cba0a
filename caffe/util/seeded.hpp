#ifndef CAFFE_UTIL_SEEDED_HPP_
#define CAFFE_UTIL_SEEDED_HPP_

// Loops with random numbers. For .cu files only (kernels/parallel.hpp).

#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/random_bits.hpp"

namespace caffe {

/// A functor with the seed that is on the GPU.
template <typename F>
struct SeededThere {
  F f;
  const uint32_t* seed;
  CAFFE_HD void operator()(int i) const {
    F now = f;
    now.reseed(RandomBits(*seed));
    now(i);
  }
};

/// parallel_for(n, f), where f has been given RandomBits(seed.value); if the seed is on the GPU,
/// f.reseed() is told of it there.
template <typename F>
void parallel_for_seeded(int n, const GpuSeed& seed, const F& f) {
  if (seed.at == nullptr) return parallel_for(n, f);
  parallel_for(Device::kGPU, n, SeededThere<F>{f, seed.at.get()});
}

}  // namespace caffe

#endif  // CAFFE_UTIL_SEEDED_HPP_
