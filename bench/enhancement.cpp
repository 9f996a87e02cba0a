// The Enhancement layer against a plain copy of its blob and against the same arithmetic composed
// of Caffe's stock layers, with the same number of threads, in one run.
//
//   OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 build/bvlc/bench/bench_enhancement [rounds]
//
// The exit status is 1 if a ratio misses its target.

#include <google/protobuf/text_format.h>
#include <omp.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "bench/timing.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"

namespace {

using caffe::Blob;
using std::to_string;

/// F' = F * tile(1 + sigmoid(mean of F)): the mean as a 1x1 convolution with weights 1/C that does
/// not learn.
std::string stock_net(const std::vector<int>& s) {
  const std::string channels = to_string(s[1]);
  return "force_backward: true layer { name: 'f' type: 'Input' top: 'f' input_param { shape { "
         "dim: " +
         to_string(s[0]) + " dim: " + channels + " dim: " + to_string(s[2]) +
         " dim: " + to_string(s[3]) +
         " } } }"
         "layer { name: 'mean' type: 'Convolution' bottom: 'f' top: 'a' param { lr_mult: 0 } "
         "convolution_param { num_output: 1 kernel_size: 1 bias_term: false "
         "weight_filler { type: 'constant' value: " +
         to_string(1. / s[1]) +
         " } } }"
         "layer { name: 'sigmoid' type: 'Sigmoid' bottom: 'a' top: 'a' }"
         "layer { name: 'plus1' type: 'Power' bottom: 'a' top: 'b' power_param { shift: 1 } }"
         "layer { name: 'tile' type: 'Tile' bottom: 'b' top: 'c' tile_param { axis: 1 tiles: " +
         channels +
         " } }"
         "layer { name: 'product' type: 'Eltwise' bottom: 'f' bottom: 'c' top: 'enhanced' "
         "eltwise_param { operation: PROD } }";
}

void fill(float* x, int count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int i = 0; i < count; ++i) x[i] = normal(random);
}

/// Copies one piece per thread.
void copy(const float* from, float* to, int count) {
#pragma omp parallel
  {
    const int64_t threads = omp_get_num_threads(), rank = omp_get_thread_num();
    const int64_t begin = count * rank / threads, end = count * (rank + 1) / threads;
    std::memcpy(to + begin, from + begin, (end - begin) * sizeof(float));
  }
}

boost::shared_ptr<caffe::Layer<float>> enhancement() {
  caffe::LayerParameter param;
  param.set_name("att");
  param.set_type("Enhancement");
  return caffe::LayerRegistry<float>::CreateLayer(param);
}

using Times = std::vector<double>;

/// One line: the shortest time, and the median of all rounds in brackets; ratios use the shortest.
bool row(const char* what, const Times& t, const Times& copy, double limit, const Times* stock) {
  const double to_copy = bench::best(t) / bench::best(copy);
  const double to_stock = stock ? bench::best(*stock) / bench::best(t) : 3;
  std::printf("  %-17s %7.2f ms (%7.2f) %6.2f x the copy, at most %.1f", what, bench::best(t),
              bench::median(t), to_copy, limit);
  if (stock) std::printf("; %4.1f x as fast as stock layers, at least 3", to_stock);
  const bool met = to_copy <= limit && to_stock >= 3;
  std::printf("%s\n", met ? "" : "   MISSED");
  return met;
}

bool compare(const std::vector<int>& shape, int n) {
  Blob<float> f(shape), enhanced, in_place(shape), target(shape);
  fill(f.mutable_cpu_data(), f.count());
  fill(in_place.mutable_cpu_data(), f.count());
  auto layer = enhancement(), layer_in_place = enhancement();
  layer->SetUp({&f}, {&enhanced});
  layer_in_place->SetUp({&in_place}, {&in_place});
  fill(enhanced.mutable_cpu_diff(), f.count());
  fill(in_place.mutable_cpu_diff(), f.count());

  caffe::NetParameter param;
  CHECK(google::protobuf::TextFormat::ParseFromString(stock_net(shape), &param));
  param.mutable_state()->set_phase(caffe::TRAIN);
  caffe::Net<float> stock(param);
  std::memcpy(stock.blob_by_name("f")->mutable_cpu_data(), f.cpu_data(), f.count() * sizeof(float));
  fill(stock.blob_by_name("enhanced")->mutable_cpu_diff(), f.count());

  const auto t = bench::rounds({[&] { copy(f.cpu_data(), target.mutable_cpu_data(), f.count()); },
                                [&] { layer->Forward({&f}, {&enhanced}); },
                                [&] { layer->Backward({&enhanced}, {true}, {&f}); },
                                [&] { layer_in_place->Forward({&in_place}, {&in_place}); },
                                [&] { layer_in_place->Backward({&in_place}, {true}, {&in_place}); },
                                [&] { stock.Forward(); }, [&] { stock.Backward(); }},
                               n);
  float worst = 0;
  for (int i = 0; i < f.count(); ++i) {
    worst = std::max(
        worst, std::abs(stock.blob_by_name("enhanced")->cpu_data()[i] - enhanced.cpu_data()[i]));
  }
  std::printf(
      "%d x %d x %d x %d, %d threads, best (median) of %d rounds; off stock by %.0e at most\n",
      shape[0], shape[1], shape[2], shape[3], omp_get_max_threads(), n, worst);
  std::printf("  %-17s %7.2f ms (%7.2f) %6.1f GB/s\n", "copy", bench::best(t[0]),
              bench::median(t[0]), 2 * sizeof(float) * f.count() / bench::best(t[0]) / 1e6);
  bool met = row("forward", t[1], t[0], 1.5, &t[5]);
  met &= row("backward", t[2], t[0], 2.5, &t[6]);
  met &= row("forward in place", t[3], t[0], 1.5, nullptr);
  met &= row("backward in place", t[4], t[0], 2.5, nullptr);
  return met;
}

}  // namespace

int main(int argc, char** argv) {
  FLAGS_minloglevel = 2;
  google::InitGoogleLogging(argv[0]);
  const int n = argc > 1 ? std::atoi(argv[1]) : 21;
  const bool small = compare({16, 96, 55, 55}, n), large = compare({4, 64, 224, 224}, n);
  return small && large ? 0 : 1;
}
