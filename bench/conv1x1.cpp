// oneDNN's convolutions with a 1x1 window in ResNet-152's shapes: their share of the machine's rate
// of products, which is that of oneDNN's product of large matrices, measured beside.
//
//   OMP_NUM_THREADS=2 OMP_PROC_BIND=true build/fork/bin/bench_conv1x1 [images [rounds]]
//
// Each line gives, for the forward pass, the bottom's and the weights' gradient, the best and
// (median) time in ms and the share of the best. Layouts are those that oneDNN asks for, as between
// layers of a net. Below a convolution with stride 2, "dense" is the same with stride 1 on a bottom
// that has only the pixels it reads: what a copy of these could save, without the copy itself.

#include <dnnl.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/timing.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/util/cpu_isa.hpp"

namespace {

using caffe::onednn::any_layout;
using caffe::onednn::cpu_engine;
using caffe::onednn::describe;
using caffe::onednn::describe_backward;
using caffe::onednn::Dims;
using caffe::onednn::Layout;

struct Shape {
  int inputs, outputs, size, stride;
};

const std::vector<Shape> kShapes = {{64, 64, 56, 1},     {64, 256, 56, 1},   {256, 64, 56, 1},
                                    {256, 128, 56, 2},   {256, 512, 56, 2},  {128, 512, 28, 1},
                                    {512, 128, 28, 1},   {512, 256, 28, 2},  {512, 1024, 28, 2},
                                    {256, 1024, 14, 1},  {1024, 256, 14, 1}, {1024, 512, 14, 2},
                                    {1024, 2048, 14, 2}, {512, 2048, 7, 1},  {2048, 512, 7, 1}};

dnnl::memory filled(const Layout& layout) {
  dnnl::memory memory(layout, cpu_engine());
  float* const values = static_cast<float*>(memory.get_data_handle());
  for (size_t i = 0; i < layout.get_size() / sizeof(float); ++i) values[i] = (i % 17) * 0.01f;
  return memory;
}

/// The three passes of a convolution, ready to run.
class Passes {
 public:
  Passes(const Shape& s, int images) {
    const int out = (s.size - 1) / s.stride + 1;
    const Dims x = {images, s.inputs, s.size, s.size}, y = {images, s.outputs, out, out};
    const Dims w = {s.outputs, s.inputs, 1, 1}, strides = {s.stride, s.stride}, zero = {0, 0};
    const Dims high = {(out - 1) * s.stride + 1 - s.size, (out - 1) * s.stride + 1 - s.size};
    const auto direct = dnnl::algorithm::convolution_direct;
    const auto forward = describe<dnnl::convolution_forward>(
        dnnl::prop_kind::forward_training, direct, any_layout(x), any_layout(w), Layout(),
        any_layout(y), strides, zero, zero, high);
    const auto data = describe_backward<dnnl::convolution_backward_data>(
        forward, direct, any_layout(x), any_layout(w), forward.dst_desc(), strides, zero, zero,
        high);
    const auto weights = describe_backward<dnnl::convolution_backward_weights>(
        forward, direct, forward.src_desc(), any_layout(w), Layout(), forward.dst_desc(), strides,
        zero, zero, high);
    add(dnnl::convolution_forward(forward), forward.impl_info_str(),
        {{DNNL_ARG_SRC, filled(forward.src_desc())},
         {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
         {DNNL_ARG_DST, filled(forward.dst_desc())},
         {DNNL_ARG_SCRATCHPAD, filled(forward.scratchpad_desc())}});
    add(dnnl::convolution_backward_data(data), data.impl_info_str(),
        {{DNNL_ARG_DIFF_DST, filled(data.diff_dst_desc())},
         {DNNL_ARG_WEIGHTS, filled(data.weights_desc())},
         {DNNL_ARG_DIFF_SRC, filled(data.diff_src_desc())},
         {DNNL_ARG_SCRATCHPAD, filled(data.scratchpad_desc())}});
    add(dnnl::convolution_backward_weights(weights), weights.impl_info_str(),
        {{DNNL_ARG_SRC, filled(weights.src_desc())},
         {DNNL_ARG_DIFF_DST, filled(weights.diff_dst_desc())},
         {DNNL_ARG_DIFF_WEIGHTS, filled(weights.diff_weights_desc())},
         {DNNL_ARG_SCRATCHPAD, filled(weights.scratchpad_desc())}});
  }

  std::vector<std::function<void()>> cases() {
    std::vector<std::function<void()>> result;
    for (size_t i = 0; i < primitives_.size(); ++i) {
      result.push_back([this, i] {
        primitives_[i].execute(stream_, arguments_[i]);
        stream_.wait();
      });
    }
    return result;
  }
  const char* implementation(size_t pass) const { return names_[pass].c_str(); }

 private:
  void add(const dnnl::primitive& primitive, const char* name,
           const std::unordered_map<int, dnnl::memory>& arguments) {
    primitives_.push_back(primitive);
    names_.push_back(name);
    arguments_.push_back(arguments);
  }

  dnnl::stream stream_{cpu_engine()};
  std::vector<dnnl::primitive> primitives_;
  std::vector<std::string> names_;
  std::vector<std::unordered_map<int, dnnl::memory>> arguments_;
};

/// Products per ms of a large product of matrices.
std::function<void()> large_product() {
  static std::vector<float> a(768 * 768, 1), b(768 * 768, 1), c(768 * 768);
  return [] {
    dnnl_sgemm('N', 'N', 768, 768, 768, 1, a.data(), 768, b.data(), 768, 0, c.data(), 768);
  };
}

void measure(const Shape& s, int images, int rounds, const char* note) {
  Passes passes(s, images);
  std::vector<std::function<void()>> cases = passes.cases();
  cases.push_back(large_product());
  const auto t = bench::rounds(cases, rounds);
  const double rate = 768. * 768 * 768 / bench::best(t[3]);
  const int out = (s.size - 1) / s.stride + 1;
  const double products = double(images) * s.inputs * s.outputs * out * out;
  std::printf("%4d -> %4d, %2d x %2d / %d %s", s.inputs, s.outputs, s.size, s.size, s.stride, note);
  for (int pass = 0; pass < 3; ++pass) {
    std::printf(" | %6.2f (%6.2f) %3.0f %%", bench::best(t[pass]), bench::median(t[pass]),
                100 * products / bench::best(t[pass]) / rate);
  }
  std::printf(" | %s %s %s\n", passes.implementation(0), passes.implementation(1),
              passes.implementation(2));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int images = argc > 1 ? std::atoi(argv[1]) : 4;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  std::printf("%d images, AVX-512 %s\n", images, caffe::avx512_allowed() ? "used" : "not used");
  for (const Shape& shape : kShapes) {
    measure(shape, images, rounds, "     ");
    if (shape.stride == 1) continue;
    measure({shape.inputs, shape.outputs, (shape.size - 1) / shape.stride + 1, 1}, images, rounds,
            "dense");
  }
}
