// Which division of the Enhancement layer's work among a GPU's threads is the fastest: the layer's
// kernels and the variants of bench/enhance_variants.hpp, beside a copy on the device. Before each
// run the caches are flushed, as in tests/gpu/gpu_layers.cu.
//
//   build/cuda/bin/bench_enhance_tiles [TEXT]     only variants whose names have TEXT in them
//
// Exit status: 0, 1 if a variant's result is not that of the layer's kernels, 77 without a GPU.

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "bench/enhance_blocks.hpp"
#include "kernels/attention.hpp"
#include "kernels/parallel.hpp"
#include "tests/gpu/gpu_support.hpp"

namespace {

using maap::Device;
using maap::FeatureShape;

constexpr Device kGpu = Device::kGPU;
constexpr int kRounds = 3;
/// Of the difference over the value, or over 1 for smaller ones: sums in another order.
constexpr float kTolerance = 1e-5f;

/// Numbers in [-1, 1) that have no order.
struct Fill {
  float* out;
  unsigned seed;
  MAAP_HD void operator()(int i) const {
    unsigned x = (static_cast<unsigned>(i) + seed) * 2654435761u;
    x = (x ^ (x >> 15)) * 2246822519u;
    x ^= x >> 13;
    out[i] = static_cast<float>(x >> 8) / static_cast<float>(1 << 23) - 1.f;
  }
};

/// The larger one of *worst and the difference of two arrays, as the bits of a float >= 0.
__global__ void find_worst(int64_t n, const float* got, const float* expected, unsigned* worst) {
  float most = 0.f;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const float apart = fabsf(got[i] - expected[i]) / fmaxf(1.f, fabsf(expected[i]));
    if (!(apart <= most)) most = isnan(apart) ? INFINITY : apart;
  }
  if (most > 0.f) atomicMax(worst, __float_as_uint(most));
}

/// The second of two kernels, after the one that makes A. Four values a thread.
struct Multiply {
  unsigned pixels, image;  // of a plane, and the values of an image
  const float* f;
  const float* a;
  float* out;
  MAAP_HD void operator()(int quarter) const {
    const unsigned first = 4u * static_cast<unsigned>(quarter);
    unsigned n = first / image, rest = first - n * image, pixel = rest % pixels;
    const auto values = enhance_ways::PlainMemory::load<4>(f + first);
    enhance_ways::Floats<4> result;
    for (int j = 0; j < 4; ++j) {
      result.x[j] = (1.f + a[n * pixels + pixel]) * values.x[j];
      if (++pixel == pixels) pixel = 0;
      if (++rest == image) rest = 0, ++n;
    }
    enhance_ways::PlainMemory::store<4>(out + first, result);
  }
};

/// The arrays of a shape, and what the layer's kernels make of them.
struct Arrays {
  explicit Arrays(const FeatureShape& shape)
      : s(shape),
        size(static_cast<size_t>(s.n) * s.channels * s.pixels),
        map_size(static_cast<size_t>(s.n) * s.pixels) {
    maap::parallel_for(kGpu, size, Fill{f.data(), 1});
    maap::parallel_for(kGpu, size, Fill{g.data(), 2});
    maap::enhance(kGpu, s, f.data(), right_out.data(), right_a.data());
    maap::enhance_backward<float>(kGpu, s, g.data(), nullptr, f.data(), false, right_a.data(),
                                  right_down.data());
    check(cudaDeviceSynchronize());
  }
  struct Memory : Workspace {
    explicit Memory(size_t n) : Workspace(kGpu, n * sizeof(float)) {}
    float* data() { return static_cast<float*>(Workspace::data()); }
  };
  FeatureShape s;
  size_t size, map_size;
  Memory f{size}, g{size}, right_out{size}, right_down{size}, right_a{map_size};
  Memory out{size}, a{map_size}, worst{1};

  float difference(float* got, float* expected, size_t n) {
    check(cudaMemset(worst.data(), 0, sizeof(float)));
    find_worst<<<1024, 256>>>(n, got, expected, reinterpret_cast<unsigned*>(worst.data()));
    float found = 0;
    check(cudaMemcpy(&found, worst.data(), sizeof found, cudaMemcpyDeviceToHost));
    return found;
  }
};

struct Variant {
  bool backward;
  std::string name;
  std::function<void()> launch;
  int registers = 0, per_processor = 0, blocks = 0;  // 0: not known here
  float error = 0;
  std::vector<float> times = {};
  float ms() const { return times[times.size() / 2]; }
};

int processors() {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0));
  return count;
}

/// Adds a variant in one direction, unless this GPU has too little shared memory for it.
template <class Way, class Tile>
void add(std::vector<Variant>* all, bool backward, const Tile& tile) {
  const auto kernel = enhance_ways::kernel_of<Way>(tile);
  constexpr int kThreads = Way::kThreads * Way::kParts;
  const int bytes = Tile::scratch() * Way::kParts * static_cast<int>(sizeof(float));
  Variant variant = {backward, Way::name(), {}};
  bool fits = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) ==
              cudaSuccess;
  if (Way::kStaged) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 100));
  }
  fits = fits && cudaOccupancyMaxActiveBlocksPerMultiprocessor(&variant.per_processor, kernel,
                                                               kThreads, bytes) == cudaSuccess;
  cudaGetLastError();
  if (!fits || variant.per_processor == 0) {
    std::printf("%-52s needs %d bytes of shared memory: left out\n", Way::name(), bytes);
    return;
  }
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, kernel));
  variant.registers = attributes.numRegs;
  variant.blocks = (tile.tiles() + Way::kParts - 1) / Way::kParts;
  if (Way::kPersistent) {
    variant.blocks = std::min(variant.blocks, variant.per_processor * processors());
  }
  const int blocks = variant.blocks;
  variant.launch = [=] { kernel<<<blocks, kThreads, bytes>>>(tile); };
  all->push_back(variant);
}

template <int kChannels, class Op, class Way>
void add_way(std::vector<Variant>* all, const Op& op) {
  using Memory =
      std::conditional_t<Way::kStreamLoads || Way::kStreamStores,
                         enhance_ways::HintedMemory<Way::kStreamLoads, Way::kStreamStores>,
                         enhance_ways::PlainMemory>;
  using Tile = enhance_ways::TileOf<Op, Way, Memory, kChannels>;
  add<Way>(all, Op::kProduct, enhance_ways::make_tile<Tile>(op));
}

/// Those that are not of one kernel: the layer's, and a map and a product.
void add_others(std::vector<Variant>* all, Arrays* m, bool with_backward) {
  all->push_back({false, "the layer's kernel",
                  [=] { maap::enhance(kGpu, m->s, m->f.data(), m->out.data(), m->a.data()); }});
  all->push_back({false, "two kernels", [=] {
                    maap::attention_map(kGpu, m->s, m->f.data(), m->a.data());
                    const unsigned pixels = m->s.pixels;
                    maap::parallel_for(kGpu, m->size / 4,
                                       Multiply{pixels, pixels * m->s.channels, m->f.data(),
                                                m->a.data(), m->out.data()});
                  }});
  if (!with_backward) return;
  all->push_back({true, "the layer's kernel", [=] {
                    maap::enhance_backward<float>(kGpu, m->s, m->g.data(), nullptr, m->f.data(),
                                                  false, m->right_a.data(), m->out.data());
                  }});
}

template <int kChannels>
std::vector<Variant> variants_for(Arrays* m) {
  constexpr bool kBackward = kChannels <= 96;
  std::vector<Variant> all;
  add_others(&all, m, kBackward);
  const enhance_ways::Forward forward = {m->s, m->f.data(), nullptr, m->out.data(), m->a.data()};
  const enhance_ways::Backward backward = {m->s, m->g.data(), m->f.data(), m->out.data(),
                                           m->right_a.data()};
  enhance_ways::for_each(typename enhance_ways::VariantsFor<kChannels>::Type(), [&](auto way) {
    add_way<kChannels, enhance_ways::Forward, decltype(way)>(&all, forward);
    if constexpr (kBackward)
      add_way<kChannels, enhance_ways::Backward, decltype(way)>(&all, backward);
  });
  return all;
}

/// Runs it once on arrays of NaN and compares.
void measure_error(Variant* variant, Arrays* m) {
  check(cudaMemset(m->out.data(), -1, m->size * sizeof(float)));
  check(cudaMemset(m->a.data(), -1, m->map_size * sizeof(float)));
  variant->launch();
  check(cudaGetLastError());
  check(cudaDeviceSynchronize());
  Arrays::Memory& right = variant->backward ? m->right_down : m->right_out;
  variant->error = m->difference(m->out.data(), right.data(), m->size);
  if (!variant->backward) {
    variant->error =
        std::max(variant->error, m->difference(m->a.data(), m->right_a.data(), m->map_size));
  }
}

void print(const Arrays& m, const Variant& v, float copy) {
  std::printf("%-12s %-8s %-58s %8.4f %6.1f %% %4d %3d %7d  %.1e%s\n", describe(m.s).c_str(),
              v.backward ? "backward" : "forward", v.name.c_str(), v.ms(),
              100 * (v.backward ? 1.5f : 1.f) * copy / v.ms(), v.registers, v.per_processor,
              v.blocks, v.error, v.error <= kTolerance ? "" : "  WRONG");
}

/// All of them in turns, so that a slower clock meets all; the medians of the rounds.
void time_all(std::vector<Variant>* all) {
  for (int round = 0; round < kRounds; ++round) {
    for (Variant& v : *all) v.times.push_back(median_ms(v.launch));
  }
  for (Variant& v : *all) std::sort(v.times.begin(), v.times.end());
}

/// The number of variants that are wrong.
template <int kChannels>
int bench(int pixels, const std::string& text) {
  Arrays m({64, kChannels, pixels});
  std::vector<Variant> all;
  const size_t bytes = m.size * sizeof(float);
  all.push_back({false, "copy", [&m, bytes] {
                   cudaMemcpyAsync(m.out.data(), m.f.data(), bytes, cudaMemcpyDeviceToDevice);
                 }});
  for (Variant& v : variants_for<kChannels>(&m)) {
    if (v.name.find(text) == std::string::npos) continue;
    std::fprintf(stderr, "%s %s\n", describe(m.s).c_str(), v.name.c_str());
    measure_error(&v, &m);
    all.push_back(v);
  }
  time_all(&all);
  const float copy = all[0].ms();
  std::stable_sort(all.begin() + 1, all.end(), [](const Variant& a, const Variant& b) {
    return a.backward != b.backward ? b.backward : a.ms() < b.ms();
  });
  int wrong = 0;
  for (const Variant& v : all) {
    print(m, v, copy);
    wrong += !(v.error <= kTolerance);
  }
  std::fflush(stdout);
  return wrong;
}

}  // namespace

int main(int argc, char** argv) {
  cudaDeviceProp properties;
  if (!find_gpu(&properties)) return 77;
  std::printf("on %s, %d multiprocessors\n", properties.name, properties.multiProcessorCount);
  std::printf("%-12s %-8s %-58s %8s %8s %4s %3s %7s  %s\n", "shape", "", "variant", "ms", "of copy",
              "regs", "/SM", "blocks", "error");
  const std::string text = argc > 1 ? argv[1] : "";
  int wrong = bench<96>(3025, text);  // AlexNet's conv1, 55 x 55
  wrong += bench<64>(50176, text);    // VGG19's conv1_1, 224 x 224
  wrong += bench<64>(12544, text);    // ResNet-152's conv1, 112 x 112
  wrong += bench<512>(196, text);     // VGG19's conv5, 14 x 14
  wrong += bench<2048>(49, text);     // ResNet-152's last, 7 x 7
  std::printf("%d wrong\n", wrong);
  return wrong == 0 ? 0 : 1;
}
