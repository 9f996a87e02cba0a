// Maps at the ends of what float and double can hold, against a plain implementation. Compiled with
// the address and undefined-behaviour sanitizers where the compiler has them.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "kernels/region.cu"
#include "tests/cpp/kernels/extreme_maps.hpp"

/// The tests need no search for leaks, which is not possible in every container.
extern "C" const char* __asan_default_options() {  // NOLINT
  return "detect_leaks=0";
}

namespace maap {
namespace {

constexpr int kSeeds = 600;

/// A map as doubles in which Otsu's method meets neither overflow nor underflow: value = number *
/// 2^exponent + shift.
struct Scaled {
  std::vector<double> numbers;
  int exponent;
  double shift;
};

std::vector<double> edges_between(double low, double high) {
  std::vector<double> edges;
  for (int i = 0; i < kBins; ++i) edges.push_back(i * ((high - low) / kBins) + low);
  edges.push_back(high);
  return edges;
}

template <typename T>
Scaled scale(const std::vector<T>& map) {
  const double low = *std::min_element(map.begin(), map.end());
  const double high = *std::max_element(map.begin(), map.end());
  const double range = high - low;
  Scaled scaled = {{}, 0, 0};
  if (range < std::ldexp(1., -400)) scaled.exponent = -600;
  if (range > std::ldexp(1., 400)) scaled.exponent = 600;
  const auto number = [&](double v) { return std::ldexp(v - scaled.shift, -scaled.exponent); };
  const std::vector<double> edges = edges_between(number(low), number(high));
  const auto no_greater = [](double a, double b) { return a >= b; };
  if (std::adjacent_find(edges.begin(), edges.end(), no_greater) != edges.end()) scaled.shift = low;
  for (const T v : map) scaled.numbers.push_back(number(v));
  return scaled;
}

/// Otsu's threshold by the definition, with a search for every value's bin.
double otsu_of(const std::vector<double>& values) {
  const std::vector<double> edges = edges_between(*std::min_element(values.begin(), values.end()),
                                                  *std::max_element(values.begin(), values.end()));
  std::vector<double> count(kBins), centre(kBins), sum_from(kBins + 1);
  for (const double v : values) {
    const auto above = std::upper_bound(edges.begin(), edges.end(), v);
    ++count[std::min<int>(static_cast<int>(above - edges.begin()) - 1, kBins - 1)];
  }
  for (int i = 0; i < kBins; ++i) centre[i] = (edges[i] + edges[i + 1]) / 2;
  for (int i = kBins - 1; i >= 0; --i) sum_from[i] = sum_from[i + 1] + count[i] * centre[i];
  double weight = 0, sum = 0, best = -1, threshold = 0;
  for (int i = 0; i < kBins - 1; ++i) {
    weight += count[i];
    sum += count[i] * centre[i];
    const double rest = static_cast<double>(values.size()) - weight;
    const double apart = sum / weight - sum_from[i + 1] / rest;
    if (weight * rest * (apart * apart) > best) {
      best = weight * rest * (apart * apart);
      threshold = centre[i];
    }
  }
  return threshold;
}

/// The box and the area of the largest 8-connected component; the whole plane if there is none.
std::pair<std::array<int, 4>, int> largest(const std::vector<bool>& foreground, int height,
                                           int width) {
  std::pair<std::array<int, 4>, int> best = {{0, 0, width, height}, 0};
  std::vector<bool> open = foreground;
  for (int start = 0; start < height * width; ++start) {
    if (!open[start]) continue;
    std::array<int, 4> box = {width, height, 0, 0};
    int area = 0;
    std::queue<int> queue({start});
    open[start] = false;
    for (; !queue.empty(); queue.pop()) {
      const int y = queue.front() / width, x = queue.front() % width;
      box = {std::min(box[0], x), std::min(box[1], y), std::max(box[2], x + 1),
             std::max(box[3], y + 1)};
      ++area;
      for (int j = std::max(0, y - 1); j <= std::min(height - 1, y + 1); ++j) {
        for (int i = std::max(0, x - 1); i <= std::min(width - 1, x + 1); ++i) {
          if (open[j * width + i]) queue.push(j * width + i);
          open[j * width + i] = false;
        }
      }
    }
    if (area > best.second) best = {box, area};
  }
  if (best.second == 0) best.second = height * width;
  return best;
}

template <typename T>
struct Result {
  std::vector<T> upsampled, regions, stats;
  int bad = -1;

  Result(const RegionShape& s, ThresholdAt at, const std::vector<T>& map)
      : upsampled(s.height * s.width), regions(4), stats(kStatsSize) {
    std::vector<char> workspace(region_workspace(Device::kCPU, s));
    find_regions(Device::kCPU, s, at, map.data(), upsampled.data(), regions.data(), stats.data(),
                 &bad, workspace.data());
  }
};

template <typename T>
void expect_reference(const RegionShape& s, ThresholdAt at, const std::vector<T>& map) {
  const Result<T> found(s, at, map);
  ASSERT_EQ(found.bad, 0);
  const std::vector<T>& plane = at == ThresholdAt::kMap ? map : found.upsampled;
  const int height = at == ThresholdAt::kMap ? s.map_height : s.height;
  const int width = at == ThresholdAt::kMap ? s.map_width : s.width;
  const T low = *std::min_element(plane.begin(), plane.end());
  const T high = *std::max_element(plane.begin(), plane.end());
  EXPECT_TRUE(std::isfinite(low) && std::isfinite(high));
  EXPECT_EQ(found.stats[kMapMin], low);
  EXPECT_EQ(found.stats[kMapMax], high);

  std::vector<bool> foreground(plane.size(), false);
  double threshold = low;
  if (low < high) {
    const Scaled scaled = scale(plane);
    const double number = otsu_of(scaled.numbers);
    threshold = std::ldexp(number, scaled.exponent) + scaled.shift;
    if (scaled.exponent != 0 || scaled.shift != 0) {
      for (size_t i = 0; i < plane.size(); ++i) foreground[i] = scaled.numbers[i] > number;
    } else {
      for (size_t i = 0; i < plane.size(); ++i) foreground[i] = plane[i] > threshold;
    }
  }
  const auto expected = largest(foreground, height, width);
  const auto& box = expected.first;
  EXPECT_EQ(found.stats[kComponentArea], T(expected.second));
  EXPECT_EQ(found.stats[kWholeImage], low < high ? T(0) : T(1));
  EXPECT_EQ(found.regions[0], T(box[0] * s.width / width));
  EXPECT_EQ(found.regions[1], T(box[1] * s.height / height));
  EXPECT_EQ(found.regions[2], T((box[2] * s.width + width - 1) / width));
  EXPECT_EQ(found.regions[3], T((box[3] * s.height + height - 1) / height));
  // Where no double is the threshold, the one before or after it.
  const double reported = found.stats[kThreshold], rounded = static_cast<T>(threshold);
  EXPECT_LE(reported, rounded);
  EXPECT_GE(reported, std::nextafter(rounded, -std::numeric_limits<double>::infinity()));
  EXPECT_GE(reported, static_cast<double>(low));
  EXPECT_TRUE(reported < static_cast<double>(high) || low == high);
}

template <typename T>
class RegionExtremes : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(RegionExtremes, Types);

TYPED_TEST(RegionExtremes, AreWhatThePlainImplementationFinds) {
  const RegionShape shapes[] = {{1, 13, 13, 13, 13},
                                {1, 13, 13, 40, 33},
                                {1, 1, 11, 1, 23},
                                {1, 7, 9, 3, 4},
                                {1, 2, 2, 9, 9}};
  for (int seed = 0; seed < kSeeds; ++seed) {
    const RegionShape& s = shapes[seed / ExtremeMaps<TypeParam>::kKinds % 5];
    const auto map = ExtremeMaps<TypeParam>::make(seed, s.map_height * s.map_width);
    for (const ThresholdAt at : {ThresholdAt::kInput, ThresholdAt::kMap}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + name_of(at));
      expect_reference(s, at, map);
      if (this->HasFailure()) return;
    }
  }
}

/// A map of a few whole numbers, and the same map in units that no bin of a double divides.
TYPED_TEST(RegionExtremes, DoNotDependOnTheUnit) {
  using T = TypeParam;
  const T unit = std::numeric_limits<T>::denorm_min();
  const RegionShape s = {1, 17, 19, 17, 19};
  for (int seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    const unsigned levels = 2 + seed % 9;
    std::vector<T> whole, tiny, close, huge;
    for (int i = 0; i < 17 * 19; ++i) {
      whole.push_back(T(random() % levels));
      tiny.push_back(whole.back() * unit);
      close.push_back(T(1) + whole.back() * std::numeric_limits<T>::epsilon());
      huge.push_back(std::ldexp(whole.back(), std::numeric_limits<T>::max_exponent - 4));
    }
    const Result<T> expected(s, ThresholdAt::kMap, whole);
    for (const auto* map : {&tiny, &close, &huge}) {
      const Result<T> found(s, ThresholdAt::kMap, *map);
      EXPECT_EQ(found.regions, expected.regions) << "seed " << seed;
      EXPECT_EQ(found.stats[kComponentArea], expected.stats[kComponentArea]) << "seed " << seed;
    }
  }
}

TYPED_TEST(RegionExtremes, TwoValuesAreBackgroundAndForeground) {
  using T = TypeParam;
  using Limits = std::numeric_limits<T>;
  const T pairs[][2] = {{T(0), Limits::denorm_min()},
                        {-Limits::denorm_min(), T(0)},
                        {-Limits::denorm_min(), Limits::denorm_min()},
                        {Limits::min(), Limits::min() + Limits::denorm_min()},
                        {T(0.5), std::nextafter(T(0.5), T(1))},
                        {std::nextafter(Limits::max(), T(0)), Limits::max()},
                        {-Limits::max(), Limits::max()},
                        {Limits::lowest(), T(0)},
                        {T(0), Limits::max()}};
  for (const auto& pair : pairs) {
    std::vector<T> map(6 * 8, pair[0]);
    for (int y = 2; y < 5; ++y) map[y * 8 + 3] = map[y * 8 + 4] = pair[1];
    const Result<T> found({1, 6, 8, 12, 16}, ThresholdAt::kMap, map);
    EXPECT_EQ(found.regions, (std::vector<T>{6, 4, 10, 10})) << pair[0] << " and " << pair[1];
    EXPECT_EQ(found.stats[kComponentArea], T(6));
    EXPECT_GE(found.stats[kThreshold], pair[0]);
    EXPECT_EQ(found.stats[kWholeImage], T(0));
  }
}

TYPED_TEST(RegionExtremes, AreInterpolatedBetweenTheirNeighbours) {
  using T = TypeParam;
  const T most = std::numeric_limits<T>::max();
  const Result<T> found({1, 1, 2, 1, 8}, ThresholdAt::kInput, {-most, most});
  const std::vector<T> part = {-1, -1, T(-0.75), T(-0.25), T(0.25), T(0.75), 1, 1};
  for (int x = 0; x < 8; ++x) EXPECT_NEAR(found.upsampled[x] / most, part[x], 1e-6);
  EXPECT_EQ(found.upsampled[0], -most);
  EXPECT_EQ(found.upsampled[7], most);
}

TYPED_TEST(RegionExtremes, OfAValueThatIsNotFiniteAreRefused) {
  using T = TypeParam;
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                      -std::numeric_limits<T>::infinity()}) {
    for (int seed = 0; seed < 3 * ExtremeMaps<T>::kKinds; ++seed) {
      auto map = ExtremeMaps<T>::make(seed, 13 * 13);
      map[seed * 5 % 169] = bad;
      for (const ThresholdAt at : {ThresholdAt::kInput, ThresholdAt::kMap}) {
        EXPECT_EQ(Result<T>({1, 13, 13, 20, 20}, at, map).bad, 1);
      }
    }
  }
}

}  // namespace
}  // namespace maap
