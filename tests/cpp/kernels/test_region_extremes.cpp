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
#include "tests/cpp/kernels/rules.hpp"

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

/// The mean and the share of the range by their definitions, in double, corrected where rounding
/// has left nothing or everything above them.
double other_threshold_of(const RegionRule& rule, const std::vector<double>& values, int width) {
  const double low = *std::min_element(values.begin(), values.end());
  const double high = *std::max_element(values.begin(), values.end());
  const double far = std::ldexp(1., 400);
  const int exponent = low > -far && high < far ? 0 : 600;
  double result = 0;
  if (rule.threshold == Threshold::kMean) {
    double total = 0;
    for (size_t row = 0; row < values.size(); row += static_cast<size_t>(width)) {
      double sum = 0;
      for (int x = 0; x < width; ++x) sum += std::ldexp(values[row + x], -exponent);
      total += sum;
    }
    result = std::ldexp(total / static_cast<double>(values.size()), exponent);
  } else {
    const double part = rule.fraction;
    result = std::isfinite(high - low) ? low + part * (high - low)
                                       : 2 * (low / 2 + part * (high / 2 - low / 2));
  }
  return std::max(low, std::min(result, std::nextafter(high, low)));
}

struct Part {
  std::array<int, 4> box;
  int area;
};

/// The component that starts at the pixel `start`, which is taken out of `open`.
Part take(std::vector<bool>* open, int start, int height, int width, int connectivity) {
  Part part = {{width, height, 0, 0}, 0};
  std::queue<int> queue({start});
  (*open)[start] = false;
  for (; !queue.empty(); queue.pop()) {
    const int y = queue.front() / width, x = queue.front() % width;
    auto& box = part.box;
    box = {std::min(box[0], x), std::min(box[1], y), std::max(box[2], x + 1),
           std::max(box[3], y + 1)};
    ++part.area;
    for (int j = std::max(0, y - 1); j <= std::min(height - 1, y + 1); ++j) {
      for (int i = std::max(0, x - 1); i <= std::min(width - 1, x + 1); ++i) {
        if (connectivity == 4 && i != x && j != y) continue;
        if ((*open)[j * width + i]) queue.push(j * width + i);
        (*open)[j * width + i] = false;
      }
    }
  }
  return part;
}

/// The component that counts; the whole plane if there is none.
template <typename T>
Part component_of(const RegionRule& rule, const std::vector<bool>& foreground,
                  const std::vector<T>& plane, int width) {
  const int size = static_cast<int>(plane.size()), height = size / width;
  Part best = {{0, 0, width, height}, 0};
  std::vector<bool> open = foreground;
  if (rule.component == Component::kStrongest) {
    const auto top = std::max_element(plane.begin(), plane.end()) - plane.begin();
    if (open[top]) return take(&open, static_cast<int>(top), height, width, rule.connectivity);
  }
  for (int start = 0; start < size; ++start) {
    if (!open[start]) continue;
    const Part part = take(&open, start, height, width, rule.connectivity);
    if (part.area > best.area) best = part;
  }
  if (best.area == 0) best.area = size;
  return best;
}

/// Pixels by which a side of `length` grows on either end.
int more(const RegionRule& rule, int length) {
  return static_cast<int>(std::ceil(rule.padding * static_cast<float>(length)));
}

template <typename T>
std::vector<T> with_border(const RegionShape& s, int border, const std::vector<T>& map) {
  std::vector<T> changed;
  for (int y = 0; y < s.map_height; ++y) {
    for (int x = 0; x < s.map_width; ++x) {
      const int j = std::min(std::max(y, border), s.map_height - 1 - border);
      const int i = std::min(std::max(x, border), s.map_width - 1 - border);
      changed.push_back(map[j * s.map_width + i]);
    }
  }
  return changed;
}

template <typename T>
struct Result {
  std::vector<T> upsampled, regions, stats;
  int bad = -1;

  Result(const RegionShape& s, const RegionRule& rule, const std::vector<T>& map)
      : upsampled(s.height * s.width), regions(4), stats(kStatsSize) {
    std::vector<char> workspace(region_workspace(Device::kCPU, s));
    find_regions(Device::kCPU, s, rule, map.data(), upsampled.data(), regions.data(), stats.data(),
                 &bad, workspace.data());
  }
};

/// What is above the threshold of a plane that is not flat, and the threshold itself.
template <typename T>
std::pair<std::vector<bool>, double> foreground_of(const RegionRule& rule,
                                                   const std::vector<T>& plane, int width) {
  std::vector<bool> foreground;
  if (rule.threshold == Threshold::kOtsu) {
    const Scaled scaled = scale(plane);
    const double number = otsu_of(scaled.numbers);
    const double threshold = std::ldexp(number, scaled.exponent) + scaled.shift;
    const bool changed = scaled.exponent != 0 || scaled.shift != 0;
    for (size_t i = 0; i < plane.size(); ++i)
      foreground.push_back(changed ? scaled.numbers[i] > number : plane[i] > threshold);
    return {foreground, threshold};
  }
  const double threshold = other_threshold_of(rule, {plane.begin(), plane.end()}, width);
  for (const T value : plane) foreground.push_back(value > threshold);
  return {foreground, threshold};
}

template <typename T>
void expect_reference(const RegionShape& s, const RegionRule& rule, const std::vector<T>& given) {
  const Result<T> found(s, rule, given);
  ASSERT_EQ(found.bad, 0);
  const std::vector<T> map = with_border(s, rule.border, given);
  const std::vector<T>& plane = rule.at == ThresholdAt::kMap ? map : found.upsampled;
  const int height = rule.at == ThresholdAt::kMap ? s.map_height : s.height;
  const int width = rule.at == ThresholdAt::kMap ? s.map_width : s.width;
  const T low = *std::min_element(plane.begin(), plane.end());
  const T high = *std::max_element(plane.begin(), plane.end());
  EXPECT_TRUE(std::isfinite(low) && std::isfinite(high));
  EXPECT_EQ(found.stats[kMapMin], low);
  EXPECT_EQ(found.stats[kMapMax], high);

  std::pair<std::vector<bool>, double> above = {std::vector<bool>(plane.size(), false), low};
  if (low < high) above = foreground_of(rule, plane, width);
  const double threshold = above.second;
  const Part expected = component_of(rule, above.first, plane, width);
  EXPECT_EQ(found.stats[kComponentArea], T(expected.area));
  EXPECT_EQ(found.stats[kWholeImage], low < high ? T(0) : T(1));
  const auto& box = expected.box;
  const int x1 = box[0] * s.width / width, x2 = (box[2] * s.width + width - 1) / width;
  const int y1 = box[1] * s.height / height, y2 = (box[3] * s.height + height - 1) / height;
  const int wider = low < high ? more(rule, x2 - x1) : 0;
  const int higher = low < high ? more(rule, y2 - y1) : 0;
  EXPECT_EQ(found.regions[0], T(std::max(0, x1 - wider)));
  EXPECT_EQ(found.regions[1], T(std::max(0, y1 - higher)));
  EXPECT_EQ(found.regions[2], T(std::min(s.width, x2 + wider)));
  EXPECT_EQ(found.regions[3], T(std::min(s.height, y2 + higher)));
  // Where no double is the threshold, the one before or after it.
  const double reported = found.stats[kThreshold], rounded = static_cast<T>(threshold);
  EXPECT_LE(reported, rounded);
  EXPECT_GE(reported, std::nextafter(rounded, -std::numeric_limits<double>::infinity()));
  EXPECT_GE(reported, static_cast<double>(low));
  if (rule.threshold == Threshold::kOtsu) {
    EXPECT_TRUE(reported < static_cast<double>(high) || low == high);
  } else {
    EXPECT_EQ(reported, rounded);
  }
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
    std::vector<RegionRule> rules = other_rules(std::min(s.map_height, s.map_width));
    rules = {{ThresholdAt::kInput}, {ThresholdAt::kMap}, rules[seed % rules.size()]};
    for (const RegionRule& rule : rules) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + describe(rule));
      expect_reference(s, rule, map);
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
    const Result<T> expected(s, {ThresholdAt::kMap}, whole);
    for (const auto* map : {&tiny, &close, &huge}) {
      const Result<T> found(s, {ThresholdAt::kMap}, *map);
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
    const Result<T> found({1, 6, 8, 12, 16}, {ThresholdAt::kMap}, map);
    EXPECT_EQ(found.regions, (std::vector<T>{6, 4, 10, 10})) << pair[0] << " and " << pair[1];
    EXPECT_EQ(found.stats[kComponentArea], T(6));
    EXPECT_GE(found.stats[kThreshold], pair[0]);
    EXPECT_EQ(found.stats[kWholeImage], T(0));
  }
}

TYPED_TEST(RegionExtremes, AreInterpolatedBetweenTheirNeighbours) {
  using T = TypeParam;
  const T most = std::numeric_limits<T>::max();
  const Result<T> found({1, 1, 2, 1, 8}, {}, {-most, most});
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
        EXPECT_EQ(Result<T>({1, 13, 13, 20, 20}, {at}, map).bad, 1);
      }
    }
  }
}

}  // namespace
}  // namespace maap
