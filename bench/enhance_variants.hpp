#ifndef BENCH_ENHANCE_VARIANTS_HPP_
#define BENCH_ENHANCE_VARIANTS_HPP_

// The variants that bench/enhance_tiles.cu times and tests/cpp/kernels/test_enhance_tiles.cpp
// checks.

#include <type_traits>

#include "bench/enhance_tiles.hpp"

namespace enhance_ways {

/// Values in registers, divided as the layer's kernels do it, which compute addresses anew.
struct Rows {
  static constexpr bool kStaged = false;
  static constexpr int kThreads = 256, kGroups = 8, kVector = 1;
  static constexpr Edges kEdges = Edges::kOfPixels;
  static constexpr bool kExact = false;       // whether the threads ask for the number of channels
  static constexpr bool kAnew = false;        // whether stores compute their addresses anew
  static constexpr bool kPersistent = false;  // as many blocks as fit, and the next tile's values
                                              // are read before this one's are written
  static constexpr bool kTwoSteps = false;  // sums by one thread per pixel, behind a second barrier
  static constexpr int kParts = 1;          // teams of kThreads in a block, each with its barrier
  static constexpr int kRegisters = 0;      // at most so many, or 0
  static constexpr bool kStreamLoads = false, kStreamStores = false;  // hints to the caches
  static constexpr const char* name() { return "addresses kept"; }
};

#define MAAP_WAY(Name, Base, text, ...)   \
  struct Name : Base {                    \
    static constexpr const char* name() { \
      return text;                        \
    }                                     \
    __VA_ARGS__                           \
  }
#define MAAP_SIZE(threads, groups, vector) \
  static constexpr int kThreads = threads, kGroups = groups, kVector = vector;
#define MAAP_SET(name) static constexpr bool name = true;

MAAP_WAY(Anew, Rows, "as the layer", MAAP_SET(kAnew));
MAAP_WAY(ExactAlone, Rows, "exact, addresses kept", MAAP_SET(kExact));
MAAP_WAY(Exact, Anew, "exact", MAAP_SET(kExact));
MAAP_WAY(Rows128, Exact, "128 threads", MAAP_SIZE(128, 4, 1));
MAAP_WAY(Rows512, Exact, "512 threads", MAAP_SIZE(512, 16, 1));
MAAP_WAY(Wide256, Exact, "64 pixels, 256 threads", MAAP_SIZE(256, 4, 1));
MAAP_WAY(Wide512, Exact, "64 pixels, 512 threads", MAAP_SIZE(512, 8, 1));
MAAP_WAY(StreamStores, Exact, "stores with a hint", MAAP_SET(kStreamStores));
MAAP_WAY(StreamLoads, Exact, "loads with a hint", MAAP_SET(kStreamLoads));
MAAP_WAY(StreamAll, StreamStores, "both with a hint", MAAP_SET(kStreamLoads));
MAAP_WAY(TwoSteps, Exact, "two steps", MAAP_SET(kTwoSteps));
MAAP_WAY(Persistent, Exact, "persistent", MAAP_SET(kPersistent));
MAAP_WAY(Persistent128, Rows128, "persistent, 128 threads", MAAP_SET(kPersistent));
MAAP_WAY(Halves, Exact, "two tiles a block", static constexpr int kParts = 2;);
MAAP_WAY(HalvesPersistent, Halves, "two tiles a block, persistent", MAAP_SET(kPersistent));

// Rows that begin with sectors. With several pixels a thread, these are few at the tile's ends, and
// each is written by itself.
MAAP_WAY(Shifted, Exact, "", static constexpr Edges kEdges = Edges::kShifted;);
MAAP_WAY(Shifted64, Shifted, "sectors 64x1, 512 threads", MAAP_SIZE(512, 8, 1));
MAAP_WAY(Shifted64In1024, Shifted, "sectors 64x1, 1024 threads", MAAP_SIZE(1024, 16, 1));
MAAP_WAY(Shifted64Steps, Shifted64, "sectors 64x1, 512 threads, two steps", MAAP_SET(kTwoSteps));
MAAP_WAY(Shifted64Persistent, Shifted64, "sectors 64x1, 512 threads, persistent",
         MAAP_SET(kPersistent));
MAAP_WAY(Shifted64By2, Shifted, "sectors 64x2, 256 threads", MAAP_SIZE(256, 8, 2));
MAAP_WAY(Shifted64By2In512, Shifted, "sectors 64x2, 512 threads", MAAP_SIZE(512, 16, 2));
MAAP_WAY(Shifted64By2Lean, Shifted64By2In512, "sectors 64x2, 512 threads, 40 registers",
         static constexpr int kRegisters = 40;);
MAAP_WAY(Shifted128By1, Shifted, "sectors 128x1, 1024 threads", MAAP_SIZE(1024, 8, 1));
MAAP_WAY(Shifted128By4, Shifted, "sectors 128x4, 512 threads, two steps",
         MAAP_SIZE(512, 16, 4) MAAP_SET(kTwoSteps));

// Rows of whole sectors.
MAAP_WAY(Own, Exact, "", MAAP_SET(kTwoSteps) static constexpr Edges kEdges = Edges::kOwn;);
MAAP_WAY(Own128By2, Own, "own sectors 128x2, 512 threads", MAAP_SIZE(512, 8, 2));
MAAP_WAY(Own128By2In1024, Own, "own sectors 128x2, 1024 threads", MAAP_SIZE(1024, 16, 2));
MAAP_WAY(Own128In256, Own, "own sectors 128x4, 256 threads", MAAP_SIZE(256, 8, 4));
MAAP_WAY(Own128, Own, "own sectors 128x4, 512 threads", MAAP_SIZE(512, 16, 4));
MAAP_WAY(Own128In1024, Own, "own sectors 128x4, 1024 threads", MAAP_SIZE(1024, 32, 4));
MAAP_WAY(Own256In512, Own, "own sectors 256x4, 512 threads", MAAP_SIZE(512, 8, 4));
MAAP_WAY(Own256, Own, "own sectors 256x4, 1024 threads", MAAP_SIZE(1024, 16, 4));
MAAP_WAY(OwnStores, Own128, "own sectors 128x4, 512 threads, stores with a hint",
         MAAP_SET(kStreamStores));
MAAP_WAY(OwnAll, OwnStores, "own sectors 128x4, 512 threads, both with a hint",
         MAAP_SET(kStreamLoads));
MAAP_WAY(OwnPersistent, Own128, "own sectors 128x4, 512 threads, persistent",
         MAAP_SET(kPersistent));

/// Values in shared memory.
struct Staged {
  static constexpr bool kStaged = true;
  static constexpr int kThreads = 256, kWindow = 128, kStages = 1;
  static constexpr Edges kEdges = Edges::kOwn;
  static constexpr bool kBulk = false;  // rows by one bulk copy each
  static constexpr bool kPersistent = false, kStreamLoads = false, kStreamStores = false;
  static constexpr int kParts = 1, kRegisters = 0;
  static constexpr const char* name() { return "shared memory 128"; }
};

#define MAAP_WINDOW(window, threads) static constexpr int kWindow = window, kThreads = threads;
MAAP_WAY(Staged256, Staged, "shared memory 256", MAAP_WINDOW(256, 512));
MAAP_WAY(StagedTwice, Staged, "shared memory 128, persistent",
         MAAP_SET(kPersistent) static constexpr int kStages = 2;);
MAAP_WAY(StagedBulk, Staged, "shared memory 128, bulk copies", MAAP_SET(kBulk));
MAAP_WAY(StagedBulk256, Staged256, "shared memory 256, bulk copies", MAAP_SET(kBulk));
MAAP_WAY(StagedShifted, Staged, "", static constexpr Edges kEdges = Edges::kShifted;);
MAAP_WAY(Staged32, StagedShifted, "shared memory 32", MAAP_WINDOW(32, 512));
MAAP_WAY(StagedBulk32, Staged32, "shared memory 32, bulk copies", MAAP_SET(kBulk));
MAAP_WAY(Staged16, StagedShifted, "shared memory 16", MAAP_WINDOW(16, 512));
MAAP_WAY(StagedBulk16, Staged16, "shared memory 16, bulk copies", MAAP_SET(kBulk));

// For many channels, which the layer's kernels read twice: "PIXELSxVECTOR, THREADS".
MAAP_WAY(Many32, TwoSteps, "32x1, 512 threads", MAAP_SIZE(512, 16, 1));
MAAP_WAY(Many32In1024, TwoSteps, "32x1, 1024 threads", MAAP_SIZE(1024, 32, 1));
MAAP_WAY(Many16, TwoSteps, "16x1, 1024 threads", MAAP_SIZE(1024, 64, 1));
MAAP_WAY(Many8, TwoSteps, "8x1, 512 threads", MAAP_SIZE(512, 64, 1));
MAAP_WAY(Many8In1024, TwoSteps, "8x1, 1024 threads", MAAP_SIZE(1024, 128, 1));
MAAP_WAY(ManyShifted, Shifted, "", MAAP_SET(kTwoSteps));
MAAP_WAY(Many32By4, ManyShifted, "sectors 32x4, 512 threads", MAAP_SIZE(512, 64, 4));
MAAP_WAY(Many64By4, ManyShifted, "sectors 64x4, 1024 threads", MAAP_SIZE(1024, 64, 4));
MAAP_WAY(Many16By2, ManyShifted, "sectors 16x2, 1024 threads", MAAP_SIZE(1024, 128, 2));
MAAP_WAY(Many16By4, ManyShifted, "sectors 16x4, 1024 threads", MAAP_SIZE(1024, 256, 4));

#undef MAAP_WINDOW
#undef MAAP_SET
#undef MAAP_SIZE
#undef MAAP_WAY

template <class... Ways>
struct List {};

/// Calls visit(Way()) for each of a list.
template <class Visit, class... Ways>
void for_each(List<Ways...>, const Visit& visit) {
  const int calls[] = {(visit(Ways()), 0)...};
  static_cast<void>(calls);
}

using FewChannels =
    List<Rows, Anew, ExactAlone, Exact, Rows128, Rows512, Wide256, Wide512, StreamStores,
         StreamLoads, StreamAll, TwoSteps, Persistent, Persistent128, Halves, HalvesPersistent,
         Shifted64, Shifted64In1024, Shifted64Steps, Shifted64Persistent, Shifted64By2,
         Shifted64By2In512, Shifted64By2Lean, Shifted128By1, Shifted128By4, Own128By2,
         Own128By2In1024, Own128In256, Own128, Own128In1024, Own256In512, Own256, OwnStores, OwnAll,
         OwnPersistent, Staged, Staged256, StagedTwice, StagedBulk, StagedBulk256>;

template <int kChannels>
struct VariantsFor {
  using Type = FewChannels;
};
template <>
struct VariantsFor<512> {
  using Type = List<Many32, Many32In1024, Many16, Many32By4, Many64By4, Staged32, StagedBulk32>;
};
template <>
struct VariantsFor<2048> {
  using Type = List<Many16, Many8, Many8In1024, Many16By2, Many16By4, Staged16, StagedBulk16>;
};

template <class Op, class Way, class Memory, int kChannels>
using TileOf = std::conditional_t<Way::kStaged, StagedTile<Op, Way, Memory, kChannels>,
                                  RowTile<Op, Way, Memory, kChannels>>;

/// A functor for these arrays.
template <class Tile>
Tile make_tile(const typename Tile::Operation& op) {
  return {op, divide(op.s, Tile::kWindow, Tile::kEdges)};
}

}  // namespace enhance_ways

#endif  // BENCH_ENHANCE_VARIANTS_HPP_
