// Teams on the shadow device: barriers, the order of threads, what is reported.

#include <algorithm>
#include <numeric>
#include <set>

#include "kernels/tiles.hpp"
#include "shadow_test.hpp"

namespace {

typedef ShadowTest ShadowTeams;

constexpr int kThreads = maap::GpuTeam::kThreads;

template <typename F>
void run(int n, const F& f) {
  maap::parallel_teams(maap::Device::kGPU, n, 1, f);
  cudaDeviceSynchronize();
}

struct Sums {
  int* out;  // [n]
  template <typename Team>
  void operator()(int i, const Team& team) const {
    const int sum = team.sum(team.rank() + i);
    const int least = team.min(sum + team.rank()), largest = team.max(least + team.rank());
    if (team.rank() == 0) out[i] = largest;
  }
};

TEST_F(ShadowTeams, ReduceForMoreItemsThanBlocks) {
  const OnDevice<int> out(std::vector<int>(300, 0));
  run(300, Sums{out.get()});
  const std::vector<int> values = out.values();
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(kThreads * (kThreads - 1) / 2 + kThreads * i + kThreads - 1, values[i]);
  }
}

/// Every thread reads what its neighbour wrote, with a barrier in between or without.
struct Rotate {
  int* out;  // [kThreads]
  bool waits;
  template <typename Team>
  void operator()(int, const Team& team) const {
    int* const shared = static_cast<int*>(team.scratch());
    shared[team.rank()] = team.rank();
    if (waits) team.sync();
    out[team.rank()] = shared[(team.rank() + 1) % kThreads];
  }
};

TEST_F(ShadowTeams, AMissingBarrierShows) {
  SKIP_UNDER_SANITIZERS();
  std::vector<int> rotated(kThreads);
  std::iota(rotated.begin(), rotated.end(), 1);
  rotated.back() = 0;
  for (int seed = 0; seed < 10; ++seed) {
    shadow::set_seed(seed);
    const OnDevice<int> out(std::vector<int>(kThreads, 0));
    run(1, Rotate{out.get(), true});
    EXPECT_EQ(rotated, out.values());
    run(1, Rotate{out.get(), false});
    EXPECT_NE(rotated, out.values()) << "seed " << seed;
  }
}

TEST_F(ShadowTeams, ScratchHoldsNoNumbersAtFirst) {
  SKIP_UNDER_SANITIZERS();
  const OnDevice<int> out(std::vector<int>(kThreads, 0));
  for (int round = 0; round < 2; ++round) {
    run(1, Rotate{out.get(), false});
    const std::vector<int> values = out.values();
    EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](int v) { return v > 2000000000; }));
  }
}

/// Some threads do not wait.
struct Diverges {
  int first;
  template <typename Team>
  void operator()(int, const Team& team) const {
    if (team.rank() >= first) team.sync();
  }
};

struct WaitsInTwoPlaces {
  template <typename Team>
  void operator()(int, const Team& team) const {
    if (team.rank() < 100) {
      team.sync();
    } else {
      team.sync();
    }
  }
};

TEST_F(ShadowTeams, ABarrierThatSomeDoNotReachIsAFault) {
  EXPECT_EQ("", fault_of([] { run(3, Diverges{0}); }));
  for (const int first : {1, 255}) {
    const std::string fault = fault_of([&] { run(3, Diverges{first}); });
    EXPECT_TRUE(contains(fault, "Diverges: not all threads reach the same barrier")) << fault;
    EXPECT_TRUE(contains(fault, "test_teams.cu")) << fault;
    EXPECT_TRUE(contains(fault, "thread " + std::to_string(first))) << fault;
  }
  EXPECT_TRUE(contains(fault_of([] { run(1, WaitsInTwoPlaces{}); }), "the same barrier"));
  EXPECT_EQ("", fault_of([] { run(3, Diverges{0}); }));  // the device still works
}

struct Count {
  int* sum;
  int* least;
  template <typename Team>
  void operator()(int i, const Team& team) const {
    team.add(sum, 1);
    team.lower(least, i * 1000 + team.rank());
  }
};

TEST_F(ShadowTeams, AtomicOperationsCountEveryThread) {
  const OnDevice<int> sum(std::vector<int>{0}), least(std::vector<int>{1 << 30});
  run(5, Count{sum.get(), least.get()});
  EXPECT_EQ(5 * kThreads, sum.values()[0]);
  EXPECT_EQ(0, least.values()[0]);
}

/// A read, an atomic operation and a write: other threads come in between.
struct CountBadly {
  int* sum;
  int* other;
  template <typename Team>
  void operator()(int, const Team& team) const {
    const int before = *sum;
    team.add(other, 1);
    *sum = before + 1;
  }
};

TEST_F(ShadowTeams, ThreadsChangeAtAtomicOperations) {
  SKIP_UNDER_SANITIZERS();
  const OnDevice<int> sum(std::vector<int>{0}), other(std::vector<int>{0});
  run(1, CountBadly{sum.get(), other.get()});
  EXPECT_LT(sum.values()[0], kThreads);
}

/// The order in which threads come, and blocks.
struct Arrivals {
  int* clock;
  int* threads;  // [kThreads]
  int* blocks;   // [n]
  template <typename Team>
  void operator()(int i, const Team& team) const {
    const int now = ++*clock;
    if (i == 0) threads[team.rank()] = now;
    if (team.rank() == 0) blocks[i] = now;
  }
};

TEST_F(ShadowTeams, TheSeedChoosesTheOrders) {
  SKIP_UNDER_SANITIZERS();
  std::set<std::vector<int>> threads, blocks;
  for (int round = 0; round < 16; ++round) {
    shadow::set_seed(round / 2);
    const OnDevice<int> clock(std::vector<int>{0}), of_threads(std::vector<int>(kThreads, 0)),
        of_blocks(std::vector<int>(8, 0));
    shadow::set_seed(round / 2);
    run(8, Arrivals{clock.get(), of_threads.get(), of_blocks.get()});
    std::vector<int> order = of_threads.values();
    const int least = *std::min_element(order.begin(), order.end());
    for (int& at : order) at -= least;
    threads.insert(order);
    blocks.insert(of_blocks.values());
  }
  EXPECT_GE(threads.size(), 3u);
  EXPECT_LE(threads.size(), 8u);  // the same seed, the same order
  EXPECT_EQ(8u, blocks.size());
}

struct Slots {
  int* slots;  // [n]
  template <typename Team>
  void operator()(int i, const Team& team) const {
    if (team.rank() == 0) slots[i] = team.slot();
  }
};

TEST_F(ShadowTeams, SlotsAreAsOnAGpu) {
  const OnDevice<int> slots(std::vector<int>(600, -1));
  run(600, Slots{slots.get()});
  const std::vector<int> values = slots.values();
  for (int i = 0; i < 600; ++i) EXPECT_EQ(i % 256, values[i]);
}

TEST_F(ShadowTeams, TilesHaveABlockEach) {
  const OnDevice<int> slots(std::vector<int>(600, -1));
  const auto nothing = [](int) {};
  maap::parallel_tiles(maap::Device::kGPU, 600, 1, nothing, 600, Slots{slots.get()});
  const std::vector<int> values = slots.values();
  for (int i = 0; i < 600; ++i) EXPECT_EQ(i, values[i]);
}

/// The sum over a warp, by barriers of the warp alone; the first warp waits more often.
void warp_sums(int* out) {
  shadow::launch_teams(nullptr, 1, out, [](int* to, const shadow::BlockMemory& memory) {
    int* const shared = static_cast<int*>(memory.shared);
    const int rank = shadow::thread_rank(), warp = rank / 32;
    shared[rank] = rank;
    shadow::warp_barrier(__FILE__, __LINE__);
    for (int half = 16; half > 0; half /= 2) {
      if (rank % 32 < half) shared[rank] += shared[rank + half];
      shadow::warp_barrier(__FILE__, __LINE__);
    }
    if (warp == 0) shadow::warp_barrier(__FILE__, __LINE__);
    to[rank] = shared[warp * 32];
    shadow::barrier(__FILE__, __LINE__);
  });
}

TEST_F(ShadowTeams, WarpsHaveBarriersOfTheirOwn) {
  const OnDevice<int> out(std::vector<int>(kThreads, 0));
  warp_sums(out.get());
  const std::vector<int> values = out.values();
  for (int i = 0; i < kThreads; ++i) EXPECT_EQ(i / 32 * 32 * 32 + 31 * 16, values[i]);
}

#ifdef __SANITIZE_THREAD__

TEST_F(ShadowTeams, AMissingBarrierIsReported) {
  const auto program = [](bool waits) {
    const OnDevice<int> out(std::vector<int>(kThreads, 0));
    run(1, Rotate{out.get(), waits});
    std::exit(0);
  };
  EXPECT_EXIT(program(false), ::testing::ExitedWithCode(66), "data race.*Rotate");
  EXPECT_EXIT(program(true), ::testing::ExitedWithCode(0), "");
}

#endif

}  // namespace
