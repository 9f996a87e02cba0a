// LRN across channels: the engine's own code against oneDNN's, in one run.
//
//   OMP_NUM_THREADS=2 build/fork/bin/bench_lrn [rounds [images]]
//
// Prints the best and the median time of both passes in milliseconds, and the share of the memory's
// speed: the time of copying as many bytes as the pass must read and write, divided by its best
// time. On images in blocks of channels, and for our code on plain images, too.

#include <omp.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "bench/floats.hpp"
#include "bench/timing.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/util/lrn_across.hpp"

namespace {

namespace onednn = caffe::onednn;
namespace lrn = caffe::lrn_across;
using bench::Floats;

struct Case {
  const char* name;
  int channels, size;
};

const Case kCases[] = {{"alexnet norm1", 96, 55},
                       {"alexnet norm2", 256, 27},
                       {"caffenet norm1", 96, 27},
                       {"googlenet norm1", 64, 56},
                       {"googlenet norm2", 192, 56}};
const lrn::Window kWindow = {5, 1e-4f, 0.75f, 1};

struct OneDnn {
  OneDnn(const onednn::Dims& dims, int block) {
    const onednn::Layout layout = onednn::blocked_layout(dims, block);
    const auto kind = dnnl::prop_kind::forward_training;
    const auto across = dnnl::algorithm::lrn_across_channels;
    const dnnl::memory::dim size = kWindow.size;
#if DNNL_VERSION_MAJOR < 3
    d = onednn::describe<dnnl::lrn_forward>(kind, across, layout, size, kWindow.alpha, kWindow.beta,
                                            kWindow.k);
    b = onednn::describe_backward<dnnl::lrn_backward>(d, across, layout, layout, size,
                                                      kWindow.alpha, kWindow.beta, kWindow.k);
#else
    d = onednn::describe<dnnl::lrn_forward>(kind, across, layout, layout, size, kWindow.alpha,
                                            kWindow.beta, kWindow.k);
    b = onednn::describe_backward<dnnl::lrn_backward>(d, across, layout, layout, layout, size,
                                                      kWindow.alpha, kWindow.beta, kWindow.k);
#endif
    forward = dnnl::lrn_forward(d);
    backward = dnnl::lrn_backward(b);
    workspace = dnnl::memory(d.workspace_desc(), onednn::cpu_engine());
    this->layout = layout;
  }
  dnnl::memory memory(float* p) const { return {layout, onednn::cpu_engine(), p}; }
  void run_forward(float* x, float* y) {
    onednn::run(forward, {{DNNL_ARG_SRC, memory(x)},
                          {DNNL_ARG_DST, memory(y)},
                          {DNNL_ARG_WORKSPACE, workspace},
                          {DNNL_ARG_SCRATCHPAD, scratch(d)}});
  }
  void run_backward(float* x, float* dy, float* dx) {
    onednn::run(backward, {{DNNL_ARG_SRC, memory(x)},
                           {DNNL_ARG_DIFF_DST, memory(dy)},
                           {DNNL_ARG_DIFF_SRC, memory(dx)},
                           {DNNL_ARG_WORKSPACE, workspace},
                           {DNNL_ARG_SCRATCHPAD, scratch(b)}});
  }
  template <typename Description>
  static dnnl::memory scratch(const Description& description) {
    return onednn::scratch(onednn::Slot::kPrimitive, description.scratchpad_desc());
  }

  onednn::Layout layout;
  dnnl::lrn_forward::primitive_desc d;
  dnnl::lrn_backward::primitive_desc b;
  dnnl::lrn_forward forward;
  dnnl::lrn_backward backward;
  dnnl::memory workspace;
};

void measure(const Case& c, int images, int block, int rounds) {
  const lrn::Images blocked = {images, c.channels, c.size * c.size, block};
  const lrn::Images plain = {images, c.channels, c.size * c.size, 0};
  const size_t count = size_t(images) * c.channels * c.size * c.size;
  Floats x(count), y(count), dy(count), dx(count);
  for (Floats* one : {&x, &dy, &y, &dx}) one->randomise();
  OneDnn theirs({images, c.channels, c.size, c.size}, block);
  const auto copy = [&] {
#pragma omp parallel
    {
      const size_t threads = omp_get_num_threads(), i = omp_get_thread_num();
      const size_t begin = count * i / threads, end = count * (i + 1) / threads;
      std::memcpy(y + begin, x + begin, (end - begin) * sizeof(float));
    }
  };
  const auto times =
      bench::rounds({copy, [&] { lrn::forward(blocked, kWindow, x, y); },
                     [&] { lrn::forward(plain, kWindow, x, y); }, [&] { theirs.run_forward(x, y); },
                     [&] { lrn::backward(blocked, kWindow, x, dy, false, dx); },
                     [&] { lrn::backward(plain, kWindow, x, dy, false, dx); },
                     [&] { theirs.run_backward(x, dy, dx); }},
                    rounds);
  std::printf("%-16s", c.name);
  for (size_t i = 1; i < times.size(); ++i) {
    const double least = bench::best(times[0]) * (i < 4 ? 1 : 1.5);
    std::printf("%s%6.2f (%5.2f) %3.0f%%", i == 4 ? " | " : "  ", bench::best(times[i]),
                bench::median(times[i]), 100 * least / bench::best(times[i]));
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15,
            images = argc > 2 ? std::atoi(argv[2]) : 16;
  const bool wide = caffe::best_isa() == caffe::Isa::kAvx512;
  std::printf("%d threads, %d images, blocks of %d channels; best (median) ms, of the limit\n",
              omp_get_max_threads(), images, wide ? 16 : 8);
  std::printf("%-16s  forward: own, own on plain images, oneDNN | backward: the same\n", "");
  for (const Case& c : kCases) measure(c, images, wide ? 16 : 8, rounds);
}
