// Convolutions with a 1x1 window in ResNet-152's shapes and on smaller maps: the engine's own code
// against oneDNN's, in one run.
//
//   OMP_NUM_THREADS=2 OMP_PROC_BIND=true build/fork/bin/bench_conv1x1 [images [rounds]]
//
// Each column is a gradient: the bottom's (of a convolution with stride 1) and the weights', with
// the conversion of weights from and to rows, as a layer in training does it. It gives the best
// time of our code in ms, its share of the machine's rate (that of oneDNN's product of large
// matrices), and the best and (median) time of oneDNN's divided by ours. A cache's worth of other
// memory is read before each, since in a net the weights and the values have not been used just
// before.

#include <dnnl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/timing.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/util/pointwise_gradients.hpp"

namespace {

namespace onednn = caffe::onednn;
using caffe::pointwise::Gradients;
using caffe::pointwise::Shape;
using onednn::Dims;
using onednn::Layout;
using onednn::values;

struct Case {
  int inputs, outputs, size, stride;
};

const std::vector<Case> kCases = {{64, 64, 56, 1},     {64, 256, 56, 1},   {256, 64, 56, 1},
                                  {256, 128, 56, 2},   {256, 512, 56, 2},  {128, 512, 28, 1},
                                  {512, 128, 28, 1},   {512, 256, 28, 2},  {512, 1024, 28, 2},
                                  {256, 1024, 14, 1},  {1024, 256, 14, 1}, {1024, 512, 14, 2},
                                  {1024, 2048, 14, 2}, {512, 2048, 7, 1},  {2048, 512, 7, 1},
                                  {512, 1024, 5, 1},   {512, 1024, 3, 1}};

dnnl::memory filled(const Layout& layout) {
  dnnl::memory memory(layout, onednn::cpu_engine());
  float* const values = static_cast<float*>(memory.get_data_handle());
  for (size_t i = 0; i < layout.get_size() / sizeof(float); ++i) values[i] = (i % 17) * 0.01f;
  return memory;
}

/// Reads memory that fills the caches.
void forget() {
  static std::vector<float> other(8 << 20, 1.f);
  float sum = 0;
#pragma omp parallel for reduction(+ : sum)
  for (size_t i = 0; i < other.size(); i += 16) sum += other[i];
  if (sum < 0) std::abort();
}

/// The arrays of a convolution, and its gradients by our code and by oneDNN's.
class Problem {
 public:
  Problem(const Case& c, int images)
      : own_({images, c.inputs, c.size, c.size, c.outputs, c.stride}, caffe::best_isa()) {
    const Shape& s = own_.shape();
    const int block = own_.block(), out = s.top_height();
    const Layout x = onednn::blocked_layout({images, c.inputs, c.size, c.size}, block);
    const Layout y = onednn::blocked_layout({images, c.outputs, out, out}, block);
    const Dims w = {c.outputs, c.inputs, 1, 1}, strides = {c.stride, c.stride}, zero = {0, 0};
    const Dims high = {(out - 1) * c.stride + 1 - c.size, (out - 1) * c.stride + 1 - c.size};
    const auto direct = dnnl::algorithm::convolution_direct;
    const Layout any = onednn::any_layout(w);
    forward_ = onednn::describe<dnnl::convolution_forward>(
        dnnl::prop_kind::forward_training, direct, x, any, Layout(), y, strides, zero, zero, high);
    data_ = onednn::describe_backward<dnnl::convolution_backward_data>(forward_, direct, x, any, y,
                                                                       strides, zero, zero, high);
    gradient_ = onednn::describe_backward<dnnl::convolution_backward_weights>(
        forward_, direct, x, any, Layout(), y, strides, zero, zero, high);
    run_data_ = dnnl::convolution_backward_data(data_);
    run_gradient_ = dnnl::convolution_backward_weights(gradient_);
    x_ = filled(x), dx_ = filled(x), dy_ = filled(y);
    w_ = filled(onednn::plain_layout(w)), dw_ = filled(onednn::plain_layout(w));
    packed_ = filled(onednn::plain_layout(w));
    space_ = filled(onednn::plain_layout({1 + static_cast<dnnl_dim_t>(own_.workspace())}));
  }

  /// Ours, then oneDNN's.
  std::vector<std::function<void()>> cases() {
    return {[this] {
              if (own_.shape().stride > 1) return;
              own_.backward_data(values(dy_), values(w_), values(dx_), values(packed_));
            },
            [this] {
              own_.backward_weights(values(x_), values(dy_), values(dw_), nullptr, values(space_));
            },
            [this] {
              onednn::run(run_data_, {{DNNL_ARG_DIFF_DST, dy_},
                                      {DNNL_ARG_WEIGHTS, weights(data_.weights_desc())},
                                      {DNNL_ARG_DIFF_SRC, dx_},
                                      {DNNL_ARG_SCRATCHPAD, space(data_)}});
            },
            [this] {
              const auto to =
                  onednn::scratch(onednn::Slot::kWeightsGradient, gradient_.diff_weights_desc());
              onednn::run(run_gradient_, {{DNNL_ARG_SRC, x_},
                                          {DNNL_ARG_DIFF_DST, dy_},
                                          {DNNL_ARG_DIFF_WEIGHTS, to},
                                          {DNNL_ARG_SCRATCHPAD, space(gradient_)}});
              onednn::reorder(to, dw_, true);
            }};
  }

 private:
  dnnl::memory weights(const Layout& layout) const {
    const auto to = onednn::scratch(onednn::Slot::kWeights, layout);
    onednn::reorder(w_, to);
    return to;
  }
  template <typename Description>
  static dnnl::memory space(const Description& description) {
    return onednn::scratch(onednn::Slot::kPrimitive, description.scratchpad_desc());
  }

  Gradients own_;
  dnnl::convolution_forward::primitive_desc forward_;
  dnnl::convolution_backward_data::primitive_desc data_;
  dnnl::convolution_backward_weights::primitive_desc gradient_;
  dnnl::convolution_backward_data run_data_;
  dnnl::convolution_backward_weights run_gradient_;
  dnnl::memory x_, dx_, dy_, w_, dw_, packed_, space_;
};

/// Products per ms of a large product of matrices.
std::function<void()> large_product() {
  static std::vector<float> a(768 * 768, 1), b(768 * 768, 1), c(768 * 768);
  return [] {
    dnnl_sgemm('N', 'N', 768, 768, 768, 1, a.data(), 768, b.data(), 768, 0, c.data(), 768);
  };
}

void measure(const Case& c, int images, int rounds) {
  Problem problem(c, images);
  std::vector<std::function<void()>> cases;
  for (const auto& pass : problem.cases()) {
    cases.push_back(forget);
    cases.push_back(pass);
  }
  cases.push_back(large_product());
  const auto t = bench::rounds(cases, rounds);
  const double rate = 768. * 768 * 768 / bench::best(t.back());
  const int out = (c.size - 1) / c.stride + 1;
  const double products = double(images) * c.inputs * c.outputs * out * out;
  std::printf("%4d -> %4d, %2d x %2d / %d", c.inputs, c.outputs, c.size, c.size, c.stride);
  for (int pass = 0; pass < 2; ++pass) {
    if (pass == 0 && c.stride > 1) {
      std::printf(" | %24s", "");
      continue;
    }
    const auto &own = t[2 * pass + 1], &theirs = t[2 * pass + 5];
    std::printf(" | %6.2f %3.0f%% %5.2f (%4.2f)", bench::best(own),
                100 * products / bench::best(own) / rate, bench::best(theirs) / bench::best(own),
                bench::median(theirs) / bench::median(own));
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int images = argc > 1 ? std::atoi(argv[1]) : 4;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  const bool wide = caffe::best_isa() == caffe::Isa::kAvx512;
  std::printf("%d images, blocks of %d channels\n", images, wide ? 16 : 8);
  for (const Case& c : kCases) measure(c, images, rounds);
}
