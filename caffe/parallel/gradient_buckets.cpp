#include "caffe/parallel/gradient_buckets.hpp"

#include <algorithm>

namespace caffe {

namespace {

/// [learnable param]: the first layer that may add to its gradient; -1 if none does.
template <typename Dtype>
std::vector<int> complete_after(const Net<Dtype>& net) {
  const size_t all = net.learnable_params().size();
  std::vector<int> first(all, -1);
  std::vector<bool> learns(all, false);
  for (int layer = static_cast<int>(net.layers().size()) - 1; layer >= 0; --layer) {
    if (!net.layer_need_backward()[layer]) continue;
    const std::vector<int> params = net.LearntBy(layer);
    for (size_t i = 0; i < params.size(); ++i) {
      first[params[i]] = layer;
      if (net.layers()[layer]->param_propagate_down(static_cast<int>(i))) learns[params[i]] = true;
    }
  }
  for (size_t i = 0; i < all; ++i) {
    if (!learns[i]) first[i] = -1;
  }
  return first;
}

}  // namespace

template <typename Dtype>
std::vector<GradientBucket> gradient_buckets(const Net<Dtype>& net, size_t bytes) {
  const std::vector<int> layer_of = complete_after(net);
  std::vector<int> params;
  for (size_t i = 0; i < layer_of.size(); ++i) {
    if (layer_of[i] >= 0) params.push_back(static_cast<int>(i));
  }
  std::stable_sort(params.begin(), params.end(), [&](int a, int b) {
    return layer_of[a] != layer_of[b] ? layer_of[a] > layer_of[b] : a > b;
  });
  std::vector<GradientBucket> buckets;
  size_t used = 0;
  for (const int param : params) {
    const size_t size = sizeof(Dtype) * net.learnable_params()[param]->count();
    if (buckets.empty() || used + size > bytes) {
      buckets.push_back({});
      used = 0;
    }
    used += size;
    buckets.back().params.push_back(param);
    buckets.back().layer = layer_of[param];
  }
  for (GradientBucket& bucket : buckets) std::sort(bucket.params.begin(), bucket.params.end());
  return buckets;
}

#define INSTANTIATE(T) \
  template std::vector<GradientBucket> gradient_buckets<T>(const Net<T>&, size_t)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
