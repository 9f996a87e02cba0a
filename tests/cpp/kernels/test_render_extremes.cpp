// The kernels around the regions with values at the ends of what float and double can hold.
// Compiled with the address and undefined-behaviour sanitizers where the compiler has them.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/attention.cu"
#include "kernels/region.hpp"
#include "kernels/render.cu"
#include "tests/cpp/kernels/extreme_maps.hpp"

namespace maap {
namespace {

template <typename T>
class KernelExtremes : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(KernelExtremes, Types);

TYPED_TEST(KernelExtremes, AreDrawnInsideTheirImage) {
  using T = TypeParam;
  const ImageShape s = {2, 3, 9, 12};
  const int plane = s.height * s.width, size = s.n * s.channels * plane;
  for (int seed = 0; seed < 30 * ExtremeMaps<T>::kKinds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RegionShape shape = {s.n, 5, 4, s.height, s.width};
    const auto map = ExtremeMaps<T>::make(seed, s.n * 20);
    const auto d = ExtremeMaps<T>::make(seed / 3 + 1000, size);
    std::vector<T> a(s.n * plane), regions(4 * s.n), stats(kStatsSize * s.n), d_star(size),
        dd(size);
    std::vector<char> workspace(region_workspace(Device::kCPU, shape));
    std::vector<int> bad(s.n);
    find_regions(Device::kCPU, shape, {seed % 2 != 0 ? ThresholdAt::kMap : ThresholdAt::kInput},
                 map.data(), a.data(), regions.data(), stats.data(), bad.data(), workspace.data());
    ASSERT_EQ(bad, std::vector<int>(s.n, 0));
    for (const AStar a_star : kAStars) {
      render(Device::kCPU, s, a_star, d.data(), a.data(), regions.data(), stats.data(),
             d_star.data());
      render_backward(Device::kCPU, s, a_star, d.data(), a.data(), regions.data(), stats.data(),
                      dd.data());
      if (a_star != AStar::kRoi) continue;
      for (int i = 0; i < size; i += plane) {
        const auto range = std::minmax_element(d.begin() + i, d.begin() + i + plane);
        for (int k = i; k < i + plane; ++k) {
          ASSERT_TRUE(d_star[k] >= *range.first && d_star[k] <= *range.second) << d_star[k];
        }
      }
    }
  }
}

TYPED_TEST(KernelExtremes, OfTheWholeImageAreTheImage) {
  using T = TypeParam;
  const ImageShape s = {1, 2, 7, 8};
  const std::vector<T> a(56, T(0.5)), regions = {0, 0, 8, 7};
  for (int seed = 0; seed < 10 * ExtremeMaps<T>::kKinds; ++seed) {
    const auto d = ExtremeMaps<T>::make(seed, 112);
    std::vector<T> d_star(112);
    render<T>(Device::kCPU, s, AStar::kRoi, d.data(), a.data(), regions.data(), nullptr,
              d_star.data());
    EXPECT_EQ(d, d_star) << "seed " << seed;
  }
}

/// The attention is from 0 to 1 where the mean of the features is finite.
TYPED_TEST(KernelExtremes, OfFeaturesGiveAnAttention) {
  using T = TypeParam;
  const FeatureShape s = {2, 3, 67};
  for (int seed = 0; seed < 30 * ExtremeMaps<T>::kKinds; ++seed) {
    const auto f = ExtremeMaps<T>::make(seed, 2 * 3 * 67);
    std::vector<T> a(2 * 67), enhanced(f.size()), gradient(f.size());
    attention_map(Device::kCPU, s, f.data(), a.data());
    for (int i = 0; i < 2 * 67; ++i) {
      const T* const at = f.data() + i / 67 * 3 * 67 + i % 67;
      const bool finite = std::isfinite(at[0] + at[67] + at[134]);
      EXPECT_EQ(finite, a[i] >= T(0) && a[i] <= T(1)) << "seed " << seed << ": " << a[i];
    }
    enhance(Device::kCPU, s, f.data(), enhanced.data(), a.data());
    for (const bool recover : {false, true}) {
      enhance_backward<T>(Device::kCPU, s, f.data(), nullptr, recover ? enhanced.data() : f.data(),
                          recover, a.data(), gradient.data());
    }
  }
}

}  // namespace
}  // namespace maap
