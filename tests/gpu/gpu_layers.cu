// The layers' kernels on raw device pointers, without Caffe: GPU against CPU, and against a device
// copy in time.
//
//   tools/nvcc_check            builds build/cuda/tests/cpp/gpu_layers (and runs it)
//   build/cuda/tests/cpp/gpu_layers [--short] [--json FILE]
//
// Exit status: 0 if all results are equal, 1 for a difference, 77 for "skipped, no GPU".

#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>
#include <fstream>

#include "kernels/attention.hpp"
#include "kernels/region.hpp"
#include "kernels/render.hpp"
#include "tests/cpp/kernels/extreme_maps.hpp"
#include "tests/cpp/kernels/rules.hpp"
#include "tests/gpu/gpu_support.hpp"

namespace {

using maap::Device;

/// Enhancement, both directions, in place or not, with a gradient of A or without.
template <typename T>
void enhancement(Report* report, const maap::FeatureShape& s, bool in_place, bool with_a) {
  const size_t size = static_cast<size_t>(s.n) * s.channels * s.pixels;
  const size_t map_size = static_cast<size_t>(s.n) * s.pixels;
  Buffer<T> f(random_values<T>(size, 1)), g(random_values<T>(size, 2)),
      a_gradient(random_values<T>(map_size, 3));
  Buffer<T> enhanced(size), a(map_size), f_gradient(size);
  for (Device device : {Device::kCPU, Device::kGPU}) {
    T* const out = in_place ? f.on(device) : enhanced.on(device);
    T* const down = in_place ? g.on(device) : f_gradient.on(device);
    maap::enhance(device, s, f.on(device), out, a.on(device));
    maap::enhance_backward(device, s, g.on(device), with_a ? a_gradient.on(device) : nullptr,
                           f.on(device), in_place, a.on(device), down);
  }
  const std::string name =
      describe(s) + type_name<T>() + (in_place ? ", in place" : "") + (with_a ? ", dA" : "");
  report->compare("enhancement A " + name, a);
  report->compare("enhancement forward " + name, in_place ? f : enhanced);
  report->compare("enhancement backward " + name, in_place ? g : f_gradient);
}

template <typename T>
void attention_map(Report* report, const maap::FeatureShape& s) {
  const size_t size = static_cast<size_t>(s.n) * s.channels * s.pixels;
  Buffer<T> f(random_values<T>(size, 4)), a(static_cast<size_t>(s.n) * s.pixels);
  for (Device device : {Device::kCPU, Device::kGPU})
    maap::attention_map(device, s, f.on(device), a.on(device));
  report->compare("attention map " + describe(s) + type_name<T>(), a);
}

/// Regions of the same maps on both devices must be the same to the last bit: boxes, thresholds,
/// areas.
template <typename T>
void regions(Report* report, const maap::RegionShape& s, const maap::RegionRule& rule,
             const std::vector<T>& values, const std::string& kind) {
  Buffer<T> maps(values);
  Buffer<T> upsampled(static_cast<size_t>(s.n) * s.height * s.width), boxes(4 * s.n),
      stats(maap::kStatsSize * s.n);
  Buffer<int> bad(s.n);
  for (Device device : {Device::kCPU, Device::kGPU}) {
    Workspace workspace(device, maap::region_workspace(device, s));
    maap::find_regions(device, s, rule, maps.on(device), upsampled.on(device), boxes.on(device),
                       stats.on(device), bad.on(device), workspace.data());
  }
  const std::string name = kind + describe(s) + type_name<T>() + ", " + maap::describe(rule);
  report->compare("upsampled " + name, upsampled);
  report->compare_exactly("boxes " + name, boxes);
  report->compare_exactly("region statistics " + name, stats);
  report->compare_exactly("finite flags " + name, bad);
}

template <typename T>
void regions(Report* report, const maap::RegionShape& s, const maap::RegionRule& rule) {
  regions(report, s, rule, test_maps<T>(s.n, s.map_height, s.map_width), "");
}

/// Denormals, neighbouring numbers, ranges that overflow.
template <typename T>
void extreme_regions(Report* report, const maap::RegionRule& rule) {
  const maap::RegionShape s = {20 * maap::ExtremeMaps<T>::kKinds, 13, 13, 40, 33};
  std::vector<T> values;
  for (int seed = 0; seed < s.n; ++seed) {
    const std::vector<T> map = maap::ExtremeMaps<T>::make(seed, 13 * 13);
    values.insert(values.end(), map.begin(), map.end());
  }
  regions(report, s, rule, values, "extreme ");
}

/// A NaN in one map sets only that image's flag.
void bad_maps(Report* report) {
  const maap::RegionShape s = {5, 13, 13, 50, 50};
  std::vector<float> values = test_maps<float>(s.n, 13, 13);
  values[3 * 169 + 168] = std::nanf("");
  values[1 * 169] = INFINITY;
  Buffer<float> maps(values), upsampled(s.n * 2500), boxes(4 * s.n), stats(maap::kStatsSize * s.n);
  Buffer<int> bad(s.n);
  for (Device device : {Device::kCPU, Device::kGPU}) {
    Workspace workspace(device, maap::region_workspace(device, s));
    maap::find_regions(device, s, {}, maps.on(device), upsampled.on(device), boxes.on(device),
                       stats.on(device), bad.on(device), workspace.data());
  }
  report->compare_exactly("finite flags with a NaN and an infinity", bad);
  report->expect("flags are 0 1 0 1 0", bad.cpu() == std::vector<int>{0, 1, 0, 1, 0});
}

template <typename T>
void rendering(Report* report, const maap::ImageShape& s) {
  const size_t plane = static_cast<size_t>(s.height) * s.width, size = plane * s.n * s.channels;
  std::vector<T> corners;
  for (int n = 0; n < s.n; ++n) {  // from one pixel to the whole image
    const int x1 = n % 2 ? 0 : s.width / 3, y1 = n % 3 ? s.height / 4 : 0;
    const int x2 = n == 2 ? x1 + 1 : s.width - n % s.width / 2, y2 = n == 2 ? y1 + 1 : s.height;
    for (int corner : {x1, y1, x2, y2}) corners.push_back(T(corner));
  }
  Buffer<T> d(random_values<T>(size, 5)), a(random_values<T>(plane * s.n, 6)), boxes(corners),
      stats(random_values<T>(maap::kStatsSize * s.n, 9)), d_star(size), down(size);
  for (const maap::AStar a_star : maap::kAStars) {
    const std::string name = maap::name_of(a_star) + type_name<T>();
    for (Device device : {Device::kCPU, Device::kGPU}) {
      maap::render(device, s, a_star, d.on(device), a.on(device), boxes.on(device),
                   stats.on(device), d_star.on(device));
      maap::render_backward(device, s, a_star, d.on(device), a.on(device), boxes.on(device),
                            stats.on(device), down.on(device));
    }
    report->compare("D* " + name, d_star);
    report->compare("dD " + name, down);
  }
}

void time_enhancement(Report* report, const maap::FeatureShape& s) {
  const size_t size = static_cast<size_t>(s.n) * s.channels * s.pixels;
  Buffer<float> f(random_values<float>(size, 7)), out(size), a(static_cast<size_t>(s.n) * s.pixels),
      g(size);
  const Device gpu = Device::kGPU;
  const float copy = median_ms(
      [&] { cudaMemcpyAsync(out.gpu(), f.gpu(), size * sizeof(float), cudaMemcpyDeviceToDevice); });
  const std::string shape = describe(s);
  report->time("device copy " + shape, copy, copy, 1);
  report->time("enhancement forward " + shape,
               median_ms([&] { maap::enhance(gpu, s, f.gpu(), out.gpu(), a.gpu()); }), copy, 1);
  const auto backward = [&] {
    maap::enhance_backward<float>(gpu, s, g.gpu(), nullptr, f.gpu(), false, a.gpu(), out.gpu());
  };
  report->time("enhancement backward " + shape, median_ms(backward), copy, 1.5);
}

/// Everything the Elimination layer does to a batch: map, regions, D*.
void time_elimination(Report* report, const maap::FeatureShape& f_shape,
                      const maap::RegionShape& s) {
  const maap::ImageShape image = {s.n, 3, s.height, s.width};
  const size_t pixels = static_cast<size_t>(s.n) * s.height * s.width;
  Buffer<float> f(
      random_values<float>(static_cast<size_t>(f_shape.n) * f_shape.channels * f_shape.pixels, 8));
  Buffer<float> map(static_cast<size_t>(s.n) * f_shape.pixels), upsampled(pixels), boxes(4 * s.n),
      stats(5 * s.n);
  Buffer<float> d(3 * pixels), d_star(3 * pixels);
  Buffer<int> bad(s.n);
  const Device gpu = Device::kGPU;
  Workspace workspace(gpu, maap::region_workspace(gpu, s));
  const float copy = median_ms([&] {
    cudaMemcpyAsync(d_star.gpu(), d.gpu(), 3 * pixels * sizeof(float), cudaMemcpyDeviceToDevice);
  });
  const auto map_step = [&] { maap::attention_map(gpu, f_shape, f.gpu(), map.gpu()); };
  const auto region_step = [&] {
    maap::find_regions(gpu, s, {}, map.gpu(), upsampled.gpu(), boxes.gpu(), stats.gpu(), bad.gpu(),
                       workspace.data());
  };
  const auto render_step = [&] {
    maap::render(gpu, image, maap::AStar::kRoi, d.gpu(), upsampled.gpu(), boxes.gpu(), stats.gpu(),
                 d_star.gpu());
  };
  report->time("device copy of D, " + describe(s), copy, copy, 1);
  report->time("elimination: map", median_ms(map_step), copy, 0);
  report->time("elimination: regions", median_ms(region_step), copy, 0);
  report->time("elimination: D* by ROI", median_ms(render_step), copy, 0);
  report->time("elimination: all", median_ms([&] { map_step(), region_step(), render_step(); }),
               copy, 0);
}

template <typename T>
void compare_all(Report* report) {
  const maap::FeatureShape shapes[] = {{2, 3, 20},    {3, 96, 3025}, {1, 7, 1},
                                       {4, 256, 169}, {3, 512, 196}, {2, 2048, 49}};
  for (const maap::FeatureShape& s : shapes) {
    for (bool in_place : {false, true}) {
      for (bool with_a : {false, true}) enhancement<T>(report, s, in_place, with_a);
    }
    attention_map<T>(report, s);
  }
  for (maap::ThresholdAt at : {maap::ThresholdAt::kInput, maap::ThresholdAt::kMap}) {
    regions<T>(report, {300, 13, 13, 227, 227}, {at});
    regions<T>(report, {60, 61, 53, 61, 53}, {at});
    regions<T>(report, {20, 14, 9, 5, 40}, {at});
    regions<T>(report, {9, 1, 1, 3, 3}, {at});
    extreme_regions<T>(report, {at});
  }
  for (const maap::RegionRule& rule : maap::other_rules()) {
    regions<T>(report, {60, 13, 13, 227, 227}, rule);
    extreme_regions<T>(report, rule);
  }
  rendering<T>(report, {5, 3, 227, 227});
  rendering<T>(report, {7, 2, 31, 47});
}

/// Little of everything, for compute-sanitizer, which is slow.
void compare_few(Report* report) {
  enhancement<float>(report, {3, 96, 305}, false, true);
  enhancement<double>(report, {1, 7, 1}, true, false);
  enhancement<float>(report, {2, 300, 21}, true, true);
  attention_map<float>(report, {4, 56, 169});
  for (maap::ThresholdAt at : {maap::ThresholdAt::kInput, maap::ThresholdAt::kMap}) {
    regions<float>(report, {8, 13, 13, 57, 57}, {at});
    regions<double>(report, {7, 14, 9, 5, 40}, {at});
  }
  for (const maap::RegionRule& rule : maap::other_rules()) {
    regions<float>(report, {4, 13, 13, 29, 29}, rule);
  }
  bad_maps(report);
  rendering<float>(report, {3, 2, 31, 47});
}

void compare_and_time(Report* report) {
  compare_all<float>(report);
  compare_all<double>(report);
  bad_maps(report);
  time_enhancement(report, {64, 96, 3025});   // AlexNet's conv1, 55 x 55
  time_enhancement(report, {64, 64, 50176});  // VGG19's conv1_1, 224 x 224
  time_enhancement(report, {64, 64, 12544});  // ResNet-152's conv1, 112 x 112
  time_enhancement(report, {64, 512, 196});   // VGG19's conv5_4, 14 x 14
  time_enhancement(report, {64, 2048, 49});   // ResNet-152's res5c, 7 x 7
  time_elimination(report, {64, 256, 169}, {64, 13, 13, 227, 227});
  time_elimination(report, {64, 512, 784}, {64, 28, 28, 224, 224});
}

}  // namespace

// [--short] [--json FILE]
int main(int argc, char** argv) {
  cudaDeviceProp properties;
  if (!find_gpu(&properties)) return 77;
  Report report(properties.name);
  if (argc > 1 && std::strcmp(argv[1], "--short") == 0) {
    compare_few(&report);
  } else {
    compare_and_time(&report);
  }
  if (argc > 2 && std::strcmp(argv[argc - 2], "--json") == 0) {
    std::ofstream(argv[argc - 1]) << report.json();
  }
  return report.finish();
}
