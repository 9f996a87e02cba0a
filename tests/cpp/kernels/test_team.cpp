// The MAAP kernels as a GPU's blocks run them, several threads on one map or tile, but with CPU
// threads: the results must equal those of one thread. Compiled three times: as it is, with the
// thread sanitizer, which sees what a missing sync() leaves unordered, and with the address and
// undefined-behaviour sanitizers. Tests that need a GPU (its memory model) are in tests/gpu.

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/cpp/kernels/extreme_maps.hpp"
#include "tests/cpp/kernels/rules.hpp"
#include "tests/cpp/kernels/thread_team.hpp"

#define parallel_for on_threads::parallel_for
#define parallel_teams on_threads::parallel_teams
#define parallel_tiles on_threads::parallel_tiles
#define parallel_tile_teams on_threads::parallel_tile_teams
#include "kernels/attention.cu"
#include "kernels/region.cu"
#include "kernels/render.cu"

extern "C" {                            // what the sanitizers ask for, if they are there
const char* __asan_default_options() {  // NOLINT
  return "detect_leaks=0";
}
const char* __tsan_default_options() {  // NOLINT
  return "halt_on_error=1";
}
// find() reads and halves paths while other threads do; a stale ancestor is an ancestor.
const char* __tsan_default_suppressions() {  // NOLINT
  return "race:^find$\nrace:::find(int volatile\n";
}
}

namespace maap {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kMaps = 36, kExtremeMaps = 2;
const std::vector<int> kChannels = {40, 256, 300};
#else
constexpr int kMaps = 240, kExtremeMaps = 10;
const std::vector<int> kChannels = {3, 40, 96, 128, 256, 300};
#endif
constexpr int kBatch = 3;  // maps in one call

/// Random stripes, snakes, dots and blobs.
std::vector<float> make_map(int seed, int height, int width) {
  std::mt19937 random(seed);
  const int kind = seed % 6, period = 2 + seed / 6 % 4;
  std::vector<float> map;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool snake = y % 2 == 0 || x == (y % 4 == 1 ? width - 1 : 0);
      const bool v = (y + std::abs(x - width / 2)) % period == 0,
                 comb = y == height - 1 || x % period == 0;
      const float values[] = {
          random() % 1000 / 999.f,   random() % 2 * 1.f, snake * 1.f, v * 1.f, comb * 1.f,
          (x * y / period) % 7 / 6.f};
      map.push_back(values[kind]);
    }
  }
  return map;
}

template <typename T>
struct Result {
  std::vector<T> upsampled, regions, stats;
  std::vector<int> bad;
};

template <typename T>
Result<T> regions_on(Device device, const RegionShape& s, const RegionRule& rule,
                     const std::vector<T>& maps) {
  Result<T> r = {std::vector<T>(s.n * s.height * s.width), std::vector<T>(s.n * 4),
                 std::vector<T>(s.n * kStatsSize), std::vector<int>(s.n, -1)};
  std::vector<char> workspace(region_workspace(device, s));
  find_regions(device, s, rule, maps.data(), r.upsampled.data(), r.regions.data(), r.stats.data(),
               r.bad.data(), workspace.data());
  return r;
}

/// Both places of the threshold, then one of the other rules.
std::vector<RegionRule> some_rules(int seed) {
  const std::vector<RegionRule> others = other_rules();
  return {{ThresholdAt::kInput}, {ThresholdAt::kMap}, others[seed % others.size()]};
}

template <typename T>
void expect_the_same(int seed, const RegionShape& s, const std::vector<T>& maps) {
  for (const RegionRule& rule : some_rules(seed)) {
    const Result<T> one = regions_on(Device::kCPU, s, rule, maps),
                    team = regions_on(Device::kGPU, s, rule, maps);
    ASSERT_EQ(one.upsampled, team.upsampled);
    ASSERT_EQ(one.regions, team.regions);
    ASSERT_EQ(one.stats, team.stats);
    ASSERT_EQ(std::vector<int>(s.n, 0), team.bad);
  }
}

/// kBatch maps, one behind the other: make(seed), make(seed + 1) ...
template <typename T, typename F>
std::vector<T> batch(int seed, const F& make) {
  std::vector<T> maps;
  for (int i = 0; i < kBatch; ++i) {
    const std::vector<T> map = make(seed + i);
    maps.insert(maps.end(), map.begin(), map.end());
  }
  return maps;
}

TEST(Team, OfSeveralThreadsFindsWhatOneFinds) {
  for (int seed = 0; seed < kMaps; seed += kBatch) {
    SCOPED_TRACE("map " + std::to_string(seed));
    const RegionShape small = {kBatch, 13, 13, 40, 33}, plain = {kBatch, 37, 29, 37, 29};
    const RegionShape& s = seed % 2 ? small : plain;
    expect_the_same(seed / kBatch, s, batch<float>(seed, [&](int number) {
                      return make_map(number, s.map_height, s.map_width);
                    }));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Team, OfSeveralThreadsFindsItInExtremeMaps) {
  const RegionShape s = {kBatch, 13, 13, 40, 33};
  for (int seed = 0; seed < kExtremeMaps * ExtremeMaps<double>::kKinds; seed += kBatch) {
    SCOPED_TRACE("map " + std::to_string(seed));
    expect_the_same(seed / kBatch, s,
                    batch<float>(seed, [](int n) { return ExtremeMaps<float>::make(n, 13 * 13); }));
    expect_the_same(seed / kBatch, s, batch<double>(seed, [](int n) {
                      return ExtremeMaps<double>::make(n, 13 * 13);
                    }));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Team, OfSeveralThreadsSeesAValueThatIsNotFinite) {
  const RegionShape s = {kBatch, 13, 13, 40, 33};
  auto maps = batch<float>(0, [](int number) { return make_map(number, 13, 13); });
  maps[169 + 160] = INFINITY;
  EXPECT_EQ((std::vector<int>{0, 1, 0}), regions_on(Device::kGPU, s, {}, maps).bad);
}

template <typename T>
std::vector<T> random_values(size_t count, int seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<T> uniform(-1, 1);
  std::vector<T> values(count);
  for (T& value : values) value = uniform(random);
  return values;
}

template <typename T>
void expect_near(const std::vector<T>& one, const std::vector<T>& team) {
  for (size_t i = 0; i < one.size(); ++i) {
    ASSERT_NEAR(one[i], team[i], sizeof(T) == 4 ? 1e-5 : 1e-13) << "element " << i;
  }
}

template <typename T>
struct Enhanced {
  std::vector<T> map, a, out, gradient;
};

template <typename T>
Enhanced<T> enhance_on(Device device, const FeatureShape& s, bool in_place, bool with_a) {
  const size_t size = static_cast<size_t>(s.n) * s.channels * s.pixels, pixels = s.n * s.pixels;
  std::vector<T> f = random_values<T>(size, 1), g = random_values<T>(size, 2);
  const std::vector<T> a_gradient = random_values<T>(pixels, 3);
  Enhanced<T> r = {std::vector<T>(pixels), std::vector<T>(pixels), std::vector<T>(size),
                   std::vector<T>(size)};
  attention_map(device, s, f.data(), r.map.data());
  enhance(device, s, f.data(), in_place ? f.data() : r.out.data(), r.a.data());
  enhance_backward(device, s, g.data(), with_a ? a_gradient.data() : nullptr, f.data(), in_place,
                   r.a.data(), in_place ? g.data() : r.gradient.data());
  if (in_place) {
    r.out = f;
    r.gradient = g;
  }
  return r;
}

/// A number of channels for each functor that the GPU has.
TEST(Team, OfATileEnhancesAsOneThreadDoes) {
  for (const int channels : kChannels) {
    SCOPED_TRACE(std::to_string(channels) + " channels");
    const FeatureShape s = {2, channels, 40};
    const bool in_place = channels % 3 == 1, with_a = channels % 2 == 0;
    const auto one = enhance_on<float>(Device::kCPU, s, in_place, with_a),
               team = enhance_on<float>(Device::kGPU, s, in_place, with_a);
    expect_near(one.map, team.map);
    expect_near(one.a, team.a);
    expect_near(one.out, team.out);
    expect_near(one.gradient, team.gradient);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Team, AndThreadsRenderTheSame) {
  const ImageShape s = {2, 3, 9, 12};
  const size_t size = 2 * 3 * 108;
  const auto d = random_values<double>(size, 4), a = random_values<double>(2 * 108, 5);
  const std::vector<double> regions = {2, 1, 9, 8, 0, 0, 12, 9};
  const std::vector<double> stats = {0.2, 0, 1, 9, 0, -0.5, 0, 1, 9, 0};  // two thresholds
  for (const AStar a_star : kAStars) {
    std::vector<double> out[2], gradient[2];
    for (const Device device : {Device::kCPU, Device::kGPU}) {
      auto& to = out[device == Device::kGPU];
      auto& down = gradient[device == Device::kGPU];
      to.resize(size);
      down.resize(size);
      render(device, s, a_star, d.data(), a.data(), regions.data(), stats.data(), to.data());
      render_backward(device, s, a_star, d.data(), a.data(), regions.data(), stats.data(),
                      down.data());
    }
    expect_near(out[0], out[1]);
    expect_near(gradient[0], gradient[1]);
  }
}

}  // namespace
}  // namespace maap
