#include "caffe_layers/c_api.hpp"

#include <memory>
#include <string>
#include <vector>

#include "kernels/attention.hpp"
#include "kernels/parallel.hpp"
#include "kernels/region.hpp"

namespace {

thread_local std::string last_error;

template <typename F>
int guarded(const F& f) {
  try {
    f();
    return 0;
  } catch (const std::exception& e) {
    last_error = e.what();
    return 1;
  }
}

void require_positive(std::initializer_list<int> sizes) {
  for (int size : sizes) {
    if (size < 1) throw maap::Error("sizes must be at least 1, got " + std::to_string(size));
  }
}

int find_regions(const float* map, const maap::RegionShape& shape, const maap::RegionRule& rule,
                 float* regions, float* stats, float* upsampled) {
  return guarded([=] {
    require_positive({shape.n, shape.map_height, shape.map_width, shape.height, shape.width});
    const int64_t size = static_cast<int64_t>(shape.n) * shape.height * shape.width;
    std::unique_ptr<float[]> own(upsampled ? nullptr : new float[size]);
    std::unique_ptr<char[]> workspace(new char[maap::region_workspace(maap::Device::kCPU, shape)]);
    std::vector<int> bad(shape.n);
    maap::find_regions(maap::Device::kCPU, shape, rule, map, upsampled ? upsampled : own.get(),
                       regions, stats, bad.data(), workspace.get());
    for (int i = 0; i < shape.n; ++i) {
      if (bad[i])
        throw maap::Error("the attention map of image " + std::to_string(i) +
                          " in the batch holds a NaN or an infinity");
    }
  });
}

}  // namespace

int maap_regions_f32(const float* map, int n, int h, int w, int H, int W, int threshold_at,
                     float* regions, float* stats, float* upsampled) {
  maap::RegionRule rule;
  rule.at = static_cast<maap::ThresholdAt>(threshold_at);
  return find_regions(map, {n, h, w, H, W}, rule, regions, stats, upsampled);
}

int maap_regions_by_rule_f32(const float* map, int n, int h, int w, int H, int W,
                             const maap_region_rule* rule, float* regions, float* stats,
                             float* upsampled) {
  const maap::RegionRule wanted = {static_cast<maap::ThresholdAt>(rule->threshold_at),
                                   static_cast<maap::Threshold>(rule->threshold),
                                   rule->fraction,
                                   static_cast<maap::Component>(rule->component),
                                   rule->connectivity,
                                   rule->padding,
                                   rule->border};
  return find_regions(map, {n, h, w, H, W}, wanted, regions, stats, upsampled);
}

int maap_enhance_f32(const float* f, int n, int c, int h, int w, float* enhanced,
                     float* attention) {
  return guarded([=] {
    require_positive({n, c, h, w});
    std::vector<float> own(attention ? 0 : static_cast<size_t>(n) * h * w);
    maap::enhance(maap::Device::kCPU, {n, c, h * w}, f, enhanced,
                  attention ? attention : own.data());
  });
}

int maap_enhance_backward_f32(const float* gradient, const float* f, const float* attention, int n,
                              int c, int h, int w, float* f_gradient) {
  return guarded([=] {
    require_positive({n, c, h, w});
    maap::enhance_backward<float>(maap::Device::kCPU, {n, c, h * w}, gradient, nullptr, f, false,
                                  attention, f_gradient);
  });
}

const char* maap_last_error() {
  return last_error.c_str();
}

void maap_set_threads(int n) {
  maap::set_threads(n);
}

int maap_has_gpu() {
  return maap::kBuiltWithGpu ? 1 : 0;
}
