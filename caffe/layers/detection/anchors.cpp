#include "caffe/layers/detection/anchors.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/common.hpp"

namespace caffe {

namespace {

template <typename Dtype>
Dtype overlap(const PixelBox<Dtype>& a, const PixelBox<Dtype>& b) {
  const Dtype width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1) + Dtype(1);
  const Dtype height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1) + Dtype(1);
  if (!(width > Dtype(0) && height > Dtype(0))) return Dtype(0);
  const Dtype both = width * height;
  return both / (a.width() * a.height() + b.width() * b.height() - both);
}

}  // namespace

template <typename Dtype>
std::vector<PixelBox<Dtype>> make_anchors(int base_size, const std::vector<Dtype>& ratios,
                                          const std::vector<Dtype>& scales) {
  const Dtype area = Dtype(base_size) * Dtype(base_size);
  const Dtype centre = Dtype(0.5) * Dtype(base_size - 1);
  std::vector<PixelBox<Dtype>> anchors;
  for (const Dtype ratio : ratios) {
    const Dtype width = std::floor(std::sqrt(area / ratio) + Dtype(0.5));
    const Dtype height = std::floor(width * ratio + Dtype(0.5));
    for (const Dtype scale : scales) {
      const Dtype x = Dtype(0.5) * (width * scale - Dtype(1));
      const Dtype y = Dtype(0.5) * (height * scale - Dtype(1));
      anchors.push_back({centre - x, centre - y, centre + x, centre + y});
    }
  }
  return anchors;
}

template <typename Dtype>
std::vector<int> suppress_overlaps(const std::vector<PixelBox<Dtype>>& boxes, Dtype threshold,
                                   int most) {
  std::vector<int> kept;
  for (size_t i = 0; i < boxes.size() && static_cast<int>(kept.size()) < most; ++i) {
    const bool free = std::none_of(kept.begin(), kept.end(),
                                   [&](int k) { return overlap(boxes[k], boxes[i]) > threshold; });
    if (free) kept.push_back(static_cast<int>(i));
  }
  return kept;
}

#define INSTANTIATE_ANCHORS(Dtype)                                                   \
  template std::vector<PixelBox<Dtype>> make_anchors(int, const std::vector<Dtype>&, \
                                                     const std::vector<Dtype>&);     \
  template std::vector<int> suppress_overlaps(const std::vector<PixelBox<Dtype>>&, Dtype, int)

INSTANTIATE_ANCHORS(float);
INSTANTIATE_ANCHORS(double);

}  // namespace caffe
