// Convolutions of inference with kept weights and a ReLU: the engine's own code, products for
// windows of 1x1 and Winograd's algorithm for 3x3, against oneDNN's direct code.
//
//   OMP_NUM_THREADS=2 OMP_PROC_BIND=true build/fork/bin/bench_kept_conv [images [rounds]]
//
// Prints the best and (median) time in microseconds of both, and the rate of the one that is used
// here (conv_pointwise.hpp, conv_winograd.hpp) as a share of the rate of a large product of
// matrices; more than 100% comes of Winograd's smaller number of multiplications.

#include <dnnl.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "bench/timing.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/util/cpu_isa.hpp"
#include "caffe/util/pointwise.hpp"
#include "caffe/util/winograd.hpp"

namespace {

using namespace caffe::onednn;
using caffe::PointwiseConvolution;
using caffe::winograd::Convolution;

struct Case {
  const char* name;
  int channels, size, outputs, kernel;
};

const Case kCases[] = {
    {"squeezenet fire2 squeeze", 64, 56, 16, 1},
    {"squeezenet fire2 expand", 16, 56, 64, 1},
    {"squeezenet fire4 squeeze", 128, 28, 32, 1},
    {"squeezenet fire5 expand", 32, 28, 128, 1},
    {"squeezenet fire6 squeeze", 256, 14, 48, 1},
    {"squeezenet fire9 squeeze", 512, 14, 64, 1},
    {"squeezenet fire9 expand", 64, 14, 256, 1},
    {"squeezenet conv10", 512, 14, 1000, 1},
    {"googlenet 3a", 192, 28, 64, 1},
    {"googlenet 4e", 528, 14, 256, 1},
    {"googlenet 5b", 832, 7, 384, 1},
    {"mobilenet 64 to 128", 64, 56, 128, 1},
    {"mobilenet 512", 512, 14, 512, 1},
    {"mobilenet 1024", 1024, 7, 1024, 1},
    {"mobilenet2 96 to 24", 96, 56, 24, 1},
    {"resnet res2 2c", 64, 56, 256, 1},
    {"resnet res3 2a", 512, 28, 128, 1},
    {"resnet res4 2a", 1024, 14, 256, 1},
    {"resnet res4 2c", 256, 14, 1024, 1},
    {"resnet res5 2a", 2048, 7, 512, 1},
    {"resnet res5 2c", 512, 7, 2048, 1},
    {"squeezenet fire2 3x3", 16, 56, 64, 3},
    {"squeezenet fire5 3x3", 32, 28, 128, 3},
    {"squeezenet fire6 3x3", 48, 14, 192, 3},
    {"squeezenet fire9 3x3", 64, 14, 256, 3},
    {"googlenet 3b 3x3", 128, 28, 192, 3},
    {"googlenet 4e 3x3", 160, 14, 320, 3},
    {"googlenet 5b 3x3", 192, 7, 384, 3},
    {"resnet res4 3x3", 256, 14, 256, 3},
    {"resnet res5 3x3", 512, 7, 512, 3},
};

dnnl::memory filled(const Layout& layout) {
  dnnl::memory memory(layout, cpu_engine());
  float* const values = static_cast<float*>(memory.get_data_handle());
  for (size_t i = 0; i < layout.get_size() / sizeof(float); ++i)
    values[i] = (i % 17) * 0.01f - 0.05f;
  return memory;
}

/// oneDNN's code and ours, ready to run.
class Pair {
 public:
  Pair(const Case& c, int images) {
    const Dims x = {images, c.channels, c.size, c.size}, y = {images, c.outputs, c.size, c.size};
    const Dims w = {c.outputs, c.channels, c.kernel, c.kernel}, one = {1, 1}, zero = {0, 0};
    const Dims pad = {c.kernel / 2, c.kernel / 2};
    const auto isa = caffe::best_isa();
    const int block = PointwiseConvolution({1, 1, 1, 1}, isa).block();
    const auto forward = describe_with<dnnl::convolution_forward>(
        attributes_with_relu(0), dnnl::prop_kind::forward_inference,
        dnnl::algorithm::convolution_direct, blocked_layout(x, block), any_layout(w),
        plain_layout({c.outputs}), blocked_layout(y, block), one, zero, pad, pad);
    direct_ = dnnl::convolution_forward(forward);
    arguments_ = {{DNNL_ARG_SRC, filled(forward.src_desc())},
                  {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
                  {DNNL_ARG_BIAS, filled(forward.bias_desc())},
                  {DNNL_ARG_DST, filled(forward.dst_desc())},
                  {DNNL_ARG_SCRATCHPAD, filled(forward.scratchpad_desc())}};
    if (c.kernel == 1) {
      pointwise_.reset(
          new PointwiseConvolution({images, c.channels, c.size * c.size, c.outputs}, isa));
      weights_ = room(pointwise_->weights_size());
    } else {
      winograd_.reset(new Convolution(
          {images, c.channels, c.size, c.size, c.outputs, 1, c.kernel, c.kernel / 2, c.kernel / 2},
          isa));
      weights_ = room(winograd_->weights_size());
      workspace_ = room(winograd_->forward_workspace());
    }
  }

  std::vector<std::function<void()>> cases() {
    const auto at = [this](int which) { return values(arguments_.at(which)); };
    return {[this] {
              direct_.execute(stream_, arguments_);
              stream_.wait();
            },
            [this, at] {
              if (pointwise_ != nullptr) {
                pointwise_->forward(at(DNNL_ARG_SRC), values(weights_), at(DNNL_ARG_BIAS),
                                    {true, 0}, at(DNNL_ARG_DST));
              } else {
                winograd_->forward(at(DNNL_ARG_SRC), values(weights_), at(DNNL_ARG_BIAS), true,
                                   at(DNNL_ARG_DST), values(workspace_));
              }
            }};
  }

 private:
  static dnnl::memory room(size_t count) {
    return filled(plain_layout({static_cast<dnnl::memory::dim>(count)}));
  }

  dnnl::stream stream_{cpu_engine()};
  dnnl::convolution_forward direct_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::unique_ptr<PointwiseConvolution> pointwise_;
  std::unique_ptr<Convolution> winograd_;
  dnnl::memory weights_, workspace_;
};

/// Products per ms of a large product of matrices.
std::function<void()> large_product() {
  static std::vector<float> a(768 * 768, 1), b(768 * 768, 1), c(768 * 768);
  return [] {
    dnnl_sgemm('N', 'N', 768, 768, 768, 1, a.data(), 768, b.data(), 768, 0, c.data(), 768);
  };
}

void measure(const Case& c, int images, int rounds) {
  Pair pair(c, images);
  std::vector<std::function<void()>> cases = pair.cases();
  cases.push_back(large_product());
  const auto t = bench::rounds(cases, rounds);
  const double rate = 768. * 768 * 768 / bench::best(t[2]);
  const double products =
      double(images) * c.channels * c.outputs * c.size * c.size * c.kernel * c.kernel;
  std::printf("%-26s", c.name);
  for (int i = 0; i < 2; ++i) {
    std::printf(" | %7.1f (%7.1f)", 1e3 * bench::best(t[i]), 1e3 * bench::median(t[i]));
  }
  std::printf(" | %.2f (%.2f) | %3.0f%%\n", bench::best(t[0]) / bench::best(t[1]),
              bench::median(t[0]) / bench::median(t[1]), 100 * products / bench::best(t[1]) / rate);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int images = argc > 1 ? std::atoi(argv[1]) : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 31;
  std::printf("%d images, AVX-512 %s; microseconds\n", images,
              caffe::avx512_allowed() ? "used" : "not used");
  std::printf("%-26s | %17s | %17s | oneDNN / ours | of the rate\n", "", "oneDNN", "ours");
  for (const Case& each : kCases) measure(each, images, rounds);
}
