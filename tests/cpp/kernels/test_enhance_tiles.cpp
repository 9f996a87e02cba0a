// The variants of bench/enhance_tiles.cu as blocks of CPU threads, against a sum in double.
// Compiled twice: with the thread sanitizer, which sees a missing barrier, and with the address
// sanitizer.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "bench/enhance_variants.hpp"
#include "tests/cpp/kernels/thread_team.hpp"

namespace enhance_ways {
namespace {

/// A block of CPU threads. Each has its own object; a copy is made when it is waited for.
class Block {
 public:
  Block(int rank, int index, int count, float* scratch, pthread_barrier_t* barrier)
      : rank_(rank), index_(index), count_(count), scratch_(scratch), barrier_(barrier) {}
  int rank() const { return rank_; }
  int index() const { return index_; }
  int count() const { return count_; }
  float* scratch() const { return scratch_; }
  void sync() const { pthread_barrier_wait(barrier_); }
  void copy(float* to, const float* from) const { copy_row(to, from, 4); }
  void commit() const { batches_.emplace_back(); }
  void wait(int under_way) const {
    while (static_cast<int>(batches_.size()) - 1 > under_way) {
      for (const Copy& c : batches_.front()) std::memcpy(c.to, c.from, c.n * sizeof(float));
      batches_.erase(batches_.begin());
    }
  }
  void copy_row(float* to, const float* from, int n) const {
    EXPECT_EQ(0, n % 4);
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(from) % 16);
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(to) % 16);
    batches_.back().push_back({to, from, n});
  }
  void wait_rows() const {
    commit();
    wait(0);
    sync();
  }

 private:
  struct Copy {
    float* to;
    const float* from;
    int n;
  };
  int rank_, index_, count_;
  float* scratch_;
  pthread_barrier_t* barrier_;
  mutable std::vector<std::vector<Copy>> batches_{1};
};

/// An array that begins with a sector, and ends where sanitizers see what lies behind it.
struct Array {
  explicit Array(size_t size, int seed = -1) {
    if (posix_memalign(&memory, 32, size * sizeof(float)) != 0) throw std::bad_alloc();
    values = static_cast<float*>(memory);
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < size; ++i) values[i] = seed < 0 ? std::nanf("") : normal(random);
  }
  ~Array() { std::free(memory); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  void* memory;
  float* values;
};

/// All blocks, one after the other, by the same threads.
template <class Tile>
void run(const Tile& tile, int blocks) {
  Array scratch(Tile::scratch());
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, nullptr, Tile::kThreads);
  maap::on_threads::run(Tile::kThreads, [&](int rank) {
    for (int index = 0; index < blocks; ++index) {
      tile(Block(rank, index, blocks, scratch.values, &barrier));
      pthread_barrier_wait(&barrier);
      if (rank == 0) std::fill_n(scratch.values, Tile::scratch(), std::nanf(""));
      pthread_barrier_wait(&barrier);
    }
  });
  pthread_barrier_destroy(&barrier);
}

struct Arrays {
  explicit Arrays(const FeatureShape& s)
      : s(s),
        size(static_cast<size_t>(s.n) * s.channels * s.pixels),
        map_size(s.n * s.pixels),
        f(size, 1),
        g(size, 2),
        out(size),
        down(size),
        a(map_size) {}
  FeatureShape s;
  size_t size, map_size;
  Array f, g, out, down, a;

  void expect_forward() const {
    for (size_t p = 0; p < map_size; ++p) {
      double sum = 0;
      for (int c = 0; c < s.channels; ++c) sum += f.values[at(p, c)];
      const double attention = 1 / (1 + std::exp(-sum / s.channels));
      ASSERT_NEAR(attention, a.values[p], 1e-5) << "map, at " << p % s.pixels;
      for (int c = 0; c < s.channels; ++c) {
        ASSERT_NEAR((1 + attention) * f.values[at(p, c)], out.values[at(p, c)], 1e-5)
            << "forward, channel " << c << " at " << p % s.pixels;
      }
    }
  }
  void expect_backward() const {
    for (size_t p = 0; p < map_size; ++p) {
      double sum = 0;
      for (int c = 0; c < s.channels; ++c) sum += double(f.values[at(p, c)]) * g.values[at(p, c)];
      const double v = a.values[p], shift = v * (1 - v) / s.channels * sum;
      for (int c = 0; c < s.channels; ++c) {
        ASSERT_NEAR((1 + v) * g.values[at(p, c)] + shift, down.values[at(p, c)], 1e-5)
            << "backward, channel " << c << " at " << p % s.pixels;
      }
    }
  }

 private:
  size_t at(size_t p, int c) const {
    return (p / s.pixels * s.channels + c) * s.pixels + p % s.pixels;
  }
};

/// In two directions; a persistent one with fewer blocks than tiles.
template <class Way, int kChannels>
void check(const FeatureShape& s) {
  SCOPED_TRACE(std::string(Way::name()) + ", " + std::to_string(s.channels) + " channels, " +
               std::to_string(s.pixels) + " pixels");
  using Over = TileOf<Forward, Way, PlainMemory, kChannels>;
  using Back = TileOf<Backward, Way, PlainMemory, kChannels>;
  Arrays arrays(s);
  const auto over =
      make_tile<Over>({s, arrays.f.values, nullptr, arrays.out.values, arrays.a.values});
  const int tiles = over.tiles();
  run(over, Way::kPersistent ? (tiles + 2) / 3 : tiles);
  arrays.expect_forward();
  if (kChannels > 96) return;
  const auto back =
      make_tile<Back>({s, arrays.g.values, arrays.f.values, arrays.down.values, arrays.a.values});
  run(back, Way::kPersistent ? (tiles + 2) / 3 : tiles);
  arrays.expect_backward();
}

template <int kChannels, class Ways>
void check_all(Ways ways, const std::vector<FeatureShape>& shapes) {
  for_each(ways, [&](auto way) {
    for (const FeatureShape& s : shapes) check<decltype(way), kChannels>(s);
  });
}

#if defined(__SANITIZE_THREAD__)  // threads take long: each order of writes, barriers and reads

TEST(EnhanceTiles, HaveTheBarriersThatTheyNeed) {
  check_all<96>(List<Rows, TwoSteps, Persistent, OwnPersistent, Staged, StagedTwice, StagedBulk>(),
                {{1, 96, 233}});
}

#else

// Those whose arithmetic differs: not what only a GPU's blocks and caches see.
using Few = List<Rows, Exact, Rows512, Wide256, TwoSteps, Persistent, Shifted64,
                 Shifted64Persistent, Shifted64By2, Shifted128By4, Own128By2, Own128In256, Own128,
                 OwnPersistent, Staged, StagedTwice, StagedBulk>;

TEST(EnhanceTiles, AreTheLayersFor96Channels) {
  check_all<96>(Few(), {{1, 96, 265}, {2, 96, 20}});
}

TEST(EnhanceTiles, AreTheLayersFor64Channels) {
  check_all<64>(List<Exact, Shifted64By2, Own128, Staged>(), {{1, 64, 72}});
}

TEST(EnhanceTiles, AreTheLayersForManyChannels) {
  check_all<512>(List<Many32By4, Staged32>(), {{1, 512, 76}});
  check_all<2048>(List<Many16, Many16By4, StagedBulk16>(), {{1, 2048, 49}});
}

/// The layer asks for the number of channels where it is not a multiple of the groups.
TEST(EnhanceTiles, AreTheLayersForChannelsThatDoNotFillTheGroups) {
  check<Rows, 96>({8, 91, 45});
}

#endif

}  // namespace
}  // namespace enhance_ways
