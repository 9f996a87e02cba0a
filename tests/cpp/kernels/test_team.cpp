// The region code as a GPU block runs it, several threads on one map, but with CPU threads: the
// results must equal those of one thread, for every map. Tests that need a GPU (its memory model)
// are in tests/gpu.

#include <gtest/gtest.h>
#include <pthread.h>

#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/region.cu"
#include "tests/cpp/kernels/extreme_maps.hpp"

namespace maap {
namespace {

constexpr int kThreads = 4;

/// Data that the threads of one team share.
struct Shared {
  pthread_barrier_t barrier;
  alignas(64) char scratch[kTeamScratch];
  double exchange[kThreads];
  unsigned long long keys[kThreads];
};

/// A team of kThreads threads, with the interface of CpuTeam and GpuTeam.
class ThreadTeam {
 public:
  ThreadTeam(int rank, Shared* shared) : rank_(rank), shared_(shared) {}
  int rank() const { return rank_; }
  static constexpr int size() { return kThreads; }
  int slot() const { return 0; }
  void* scratch() const { return shared_->scratch; }
  void sync() const { pthread_barrier_wait(&shared_->barrier); }
  void add(int* p, int v) const { __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
  int lower(int* p, int v) const {
    int old = __atomic_load_n(p, __ATOMIC_SEQ_CST);
    while (v < old &&
           !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return old;
  }
  template <typename T>
  T min(T v) const {
    return reduce(shared_->exchange, v, [](T a, T b) { return b < a; });
  }
  template <typename T>
  T max(T v) const {
    return reduce(shared_->exchange, v, [](T a, T b) { return a < b; });
  }
  unsigned long long max(unsigned long long v) const {
    return reduce(shared_->keys, v,
                  [](unsigned long long a, unsigned long long b) { return a < b; });
  }

 private:
  template <typename T, typename Slot, typename Better>
  T reduce(Slot* slots, T v, const Better& better) const {
    sync();
    slots[rank_] = static_cast<Slot>(v);
    sync();
    T best = static_cast<T>(slots[0]);
    for (int i = 1; i < kThreads; ++i) {
      if (better(best, static_cast<T>(slots[i]))) best = static_cast<T>(slots[i]);
    }
    return best;
  }
  int rank_;
  Shared* shared_;
};

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
  int bad;
  explicit Result(const RegionShape& s)
      : upsampled(s.height * s.width), regions(4), stats(kStatsSize), bad(-1) {}
};

template <typename T>
Result<T> one_thread(const RegionShape& s, ThresholdAt at, const std::vector<T>& map) {
  Result<T> r(s);
  std::vector<char> workspace(region_workspace(Device::kCPU, s));
  find_regions(Device::kCPU, s, at, map.data(), r.upsampled.data(), r.regions.data(),
               r.stats.data(), &r.bad, workspace.data());
  return r;
}

template <typename T>
Result<T> team(const RegionShape& s, ThresholdAt at, const std::vector<T>& map) {
  Result<T> r(s);
  std::vector<char> workspace(region_workspace(Device::kCPU, s));
  const FindRegion<T> find_region{s,
                                  at,
                                  map.data(),
                                  r.upsampled.data(),
                                  r.regions.data(),
                                  r.stats.data(),
                                  &r.bad,
                                  workspace.data()};
  Shared shared;
  pthread_barrier_init(&shared.barrier, nullptr, kThreads);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kThreads; ++rank) {
    threads.emplace_back([&, rank] { find_region(0, ThreadTeam(rank, &shared)); });
  }
  for (auto& thread : threads) thread.join();
  pthread_barrier_destroy(&shared.barrier);
  return r;
}

template <typename T>
void expect_the_same(const RegionShape& s, const std::vector<T>& map) {
  for (ThresholdAt at : {ThresholdAt::kInput, ThresholdAt::kMap}) {
    const Result<T> expected = one_thread(s, at, map), actual = team(s, at, map);
    ASSERT_EQ(expected.upsampled, actual.upsampled);
    ASSERT_EQ(expected.regions, actual.regions);
    ASSERT_EQ(expected.stats, actual.stats);
    ASSERT_EQ(0, actual.bad);
  }
}

TEST(Team, OfSeveralThreadsFindsWhatOneFinds) {
  for (int seed = 0; seed < 240; ++seed) {
    SCOPED_TRACE("map " + std::to_string(seed));
    const RegionShape small = {1, 13, 13, 40, 33}, plain = {1, 37, 29, 37, 29};
    const RegionShape& s = seed % 2 ? small : plain;
    expect_the_same(s, make_map(seed, s.map_height, s.map_width));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Team, OfSeveralThreadsFindsItInExtremeMaps) {
  const RegionShape s = {1, 13, 13, 40, 33};
  for (int seed = 0; seed < 10 * ExtremeMaps<double>::kKinds; ++seed) {
    SCOPED_TRACE("map " + std::to_string(seed));
    expect_the_same(s, ExtremeMaps<float>::make(seed, 13 * 13));
    expect_the_same(s, ExtremeMaps<double>::make(seed, 13 * 13));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Team, OfSeveralThreadsSeesAValueThatIsNotFinite) {
  const RegionShape s = {1, 13, 13, 40, 33};
  std::vector<float> map = make_map(0, 13, 13);
  map[160] = INFINITY;
  EXPECT_EQ(1, team(s, ThresholdAt::kInput, map).bad);
}

}  // namespace
}  // namespace maap
