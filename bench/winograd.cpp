// Convolutions with stride 1: the engine's own Winograd algorithm against oneDNN's direct code and
// its Winograd algorithm, where it has one, in one run.
//
//   OMP_NUM_THREADS=2 build/fork/bin/bench_winograd [rounds [part of a name [images]]]
//
// Prints the best time of the forward pass and of both gradients in milliseconds, with the
// conversion of weights from and to rows in each, and the rate of our code's multiplications as a
// share of what the processor can do: the rate of a large product of matrices.

#include <dnnl.h>
#include <omp.h>

#include <algorithm>
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
#include "caffe/util/winograd.hpp"

namespace {

using bench::Floats;
using caffe::Isa;
using caffe::onednn::Dims;
using caffe::winograd::Convolution;
using caffe::winograd::Shape;

struct Case {
  const char* name;
  int channels, size, outputs, groups, kernel, pad;
};

const Case kCases[] = {
    {"vgg conv1_2", 64, 224, 64, 1, 3, 1},    {"vgg conv2_1", 64, 112, 128, 1, 3, 1},
    {"vgg conv2_2", 128, 112, 128, 1, 3, 1},  {"vgg conv3_1", 128, 56, 256, 1, 3, 1},
    {"vgg conv3_2", 256, 56, 256, 1, 3, 1},   {"vgg conv4_1", 256, 28, 512, 1, 3, 1},
    {"vgg conv4_2", 512, 28, 512, 1, 3, 1},   {"vgg conv5_1", 512, 14, 512, 1, 3, 1},
    {"alexnet conv2", 96, 27, 256, 2, 5, 2},  {"alexnet conv3", 256, 13, 384, 1, 3, 1},
    {"alexnet conv4", 384, 13, 384, 2, 3, 1}, {"alexnet conv5", 384, 13, 256, 2, 3, 1},
    {"resnet res2", 64, 56, 64, 1, 3, 1},     {"resnet res3", 128, 28, 128, 1, 3, 1},
    {"resnet res4", 256, 14, 256, 1, 3, 1},   {"resnet res5", 512, 7, 512, 1, 3, 1},
};

typedef std::vector<std::function<void()>> Passes;  // forward, gradients of bottom and weights

namespace onednn = caffe::onednn;

struct OneDnn {
  typedef dnnl::convolution_forward Forward;
  typedef dnnl::convolution_backward_data Data;
  typedef dnnl::convolution_backward_weights Weights;
  OneDnn(const Shape& s, int block, bool winograd)
      : bottom{s.images, s.channels, s.height, s.width},
        top{s.images, s.outputs, s.top_height(), s.top_width()},
        block(block) {
    weights = s.groups == 1
                  ? Dims{s.outputs, s.channels, s.kernel, s.kernel}
                  : Dims{s.groups, s.outputs / s.groups, s.channels / s.groups, s.kernel, s.kernel};
    const auto algorithm =
        winograd ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct;
    const Dims ones{1, 1}, zeros{0, 0}, pad{s.pad_h, s.pad_w};
    using namespace onednn;
    const auto x = blocked_layout(bottom, block), y = blocked_layout(top, block),
               w = any_layout(weights);
    const auto b = plain_layout({s.outputs});
    forward_description = describe<Forward>(dnnl::prop_kind::forward_training, algorithm, x, w, b,
                                            y, ones, zeros, pad, pad);
    data_description =
        describe_backward<Data>(forward_description, algorithm, x, w, y, ones, zeros, pad, pad);
    weights_description = describe_backward<Weights>(forward_description, algorithm, x, w, b, y,
                                                     ones, zeros, pad, pad);
    forward = Forward(forward_description);
    data = Data(data_description);
    gradient = Weights(weights_description);
  }
  dnnl::memory memory(const onednn::Layout& layout, float* p) const {
    return {layout, onednn::cpu_engine(), p};
  }
  dnnl::memory converted(const onednn::Layout& layout, float* w) const {
    const auto to = onednn::scratch(onednn::Slot::kWeights, layout);
    onednn::reorder(memory(onednn::plain_layout(weights), w), to);
    return to;
  }
  void run_forward(float* x, float* w, float* b, float* y) {
    onednn::run(forward,
                {{DNNL_ARG_WEIGHTS, converted(forward_description.weights_desc(), w)},
                 {DNNL_ARG_BIAS, memory(forward_description.bias_desc(), b)},
                 {DNNL_ARG_SRC, memory(forward_description.src_desc(), x)},
                 {DNNL_ARG_DST, memory(forward_description.dst_desc(), y)},
                 {DNNL_ARG_SCRATCHPAD, onednn::scratch(onednn::Slot::kPrimitive,
                                                       forward_description.scratchpad_desc())}});
  }
  void run_data(float* dy, float* w, float* dx) {
    onednn::run(data, {{DNNL_ARG_WEIGHTS, converted(data_description.weights_desc(), w)},
                       {DNNL_ARG_DIFF_SRC, memory(data_description.diff_src_desc(), dx)},
                       {DNNL_ARG_DIFF_DST, memory(data_description.diff_dst_desc(), dy)},
                       {DNNL_ARG_SCRATCHPAD, onednn::scratch(onednn::Slot::kPrimitive,
                                                             data_description.scratchpad_desc())}});
  }
  void run_weights(float* x, float* dy, float* dw, float* db) {
    const auto& d = weights_description;
    const auto out = onednn::scratch(onednn::Slot::kWeightsGradient, d.diff_weights_desc());
    onednn::run(gradient, {{DNNL_ARG_SRC, memory(d.src_desc(), x)},
                           {DNNL_ARG_DIFF_DST, memory(d.diff_dst_desc(), dy)},
                           {DNNL_ARG_DIFF_WEIGHTS, out},
                           {DNNL_ARG_DIFF_BIAS, memory(d.diff_bias_desc(), db)},
                           {DNNL_ARG_SCRATCHPAD,
                            onednn::scratch(onednn::Slot::kPrimitive, d.scratchpad_desc())}});
    onednn::reorder(out, memory(onednn::plain_layout(weights), dw), true);
  }
  Dims bottom, top, weights;
  int block;
  Forward::primitive_desc forward_description;
  Data::primitive_desc data_description;
  Weights::primitive_desc weights_description;
  Forward forward;
  Data data;
  Weights gradient;
};

/// The arrays of a convolution, and its passes by our code and by oneDNN's.
struct Problem {
  Problem(const Shape& s, Isa isa)
      : own(s, isa),
        back(s.transposed(), isa),
        x(size_t(s.images) * s.channels * s.height * s.width),
        dx(x.size),
        y(size_t(s.images) * s.outputs * s.top_height() * s.top_width()),
        dy(y.size),
        w(size_t(s.outputs) * s.channels / s.groups * s.kernel * s.kernel),
        dw(w.size),
        b(s.outputs),
        db(s.outputs),
        u(std::max(own.weights_size(), back.weights_size())),
        space(std::max(
            {own.forward_workspace(), back.forward_workspace(), own.backward_workspace()})) {
    for (Floats* one : {&x, &dy, &w}) one->randomise();
  }

  Passes own_passes() {
    return {[this] {
              own.transform_weights(w, false, u);
              own.forward(x, u, b, false, y, space);
            },
            [this] {
              back.transform_weights(w, true, u);
              back.forward(dy, u, nullptr, false, dx, space);
            },
            [this] { own.backward_weights(x, dy, dw, db, space); }};
  }
  Passes passes_of(OneDnn* one) {
    return {[this, one] { one->run_forward(x, w, b, y); },
            [this, one] { one->run_data(dy, w, dx); },
            [this, one] { one->run_weights(x, dy, dw, db); }};
  }

  Convolution own, back;
  Floats x, dx, y, dy, w, dw, b, db, u, space;
};

void measure(const Case& c, int images, int rounds, double peak) {
  const Shape s{images, c.channels, c.size, c.size, c.outputs, c.groups, c.kernel, c.pad, c.pad};
  Problem problem(s, caffe::best_isa());
  OneDnn direct(s, problem.own.block(), false);
  std::unique_ptr<OneDnn> theirs;
  try {
    theirs.reset(new OneDnn(s, problem.own.block(), true));
  } catch (const dnnl::error&) {  // oneDNN does not have it
  }
  Passes all = problem.own_passes();
  for (OneDnn* one : {&direct, theirs.get()}) {
    if (one == nullptr) continue;
    for (const auto& pass : problem.passes_of(one)) all.push_back(pass);
  }
  const auto times = bench::rounds(all, rounds);
  const double operations = 2. * 36 * problem.own.tiles() * c.channels / c.groups * c.outputs;
  std::printf("%-14s %6d", c.name, images);
  for (int pass = 0; pass < 3; ++pass) {
    const double own = bench::best(times[pass]);
    std::printf("  |%8.2f %3.0f%% %6.2f", own, 100 * operations / (1e6 * own) / peak,
                bench::best(times[3 + pass]) / own);
    if (theirs != nullptr) std::printf(" %6.2f", bench::best(times[6 + pass]) / own);
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// Operations per nanosecond of a large product of matrices.
double peak_rate() {
  const int n = 1024;
  Floats a(n * n), b(n * n), c(n * n);
  a.randomise(), b.randomise();
  const auto multiply = [&] { dnnl_sgemm('N', 'N', n, n, n, 1, a, n, b, n, 0, c, n); };
  return 2. * n * n * n / (1e6 * bench::best(bench::rounds({multiply}, 10)[0]));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  const bool wide = caffe::best_isa() == Isa::kAvx512;  // before oneDNN chooses its code
  const double peak = peak_rate();
  std::printf("%d threads, blocks of %d channels, product of matrices %.0f GFLOP/s\n",
              omp_get_max_threads(), wide ? 16 : 8, peak);
  std::printf(
      "for forward | gradient of the bottom | of the weights: ms, share of that rate, time "
      "of oneDNN's direct code and of its Winograd algorithm divided by ours\n");
  for (const Case& c : kCases) {
    if (argc > 2 && std::strstr(c.name, argv[2]) == nullptr) continue;
    for (const int images : {1, 4, 16}) {
      if (argc <= 3 || images == std::atoi(argv[3])) measure(c, images, rounds, peak);
    }
  }
}
