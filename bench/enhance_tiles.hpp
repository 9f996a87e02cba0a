#ifndef BENCH_ENHANCE_TILES_HPP_
#define BENCH_ENHANCE_TILES_HPP_

// Ways to divide the Enhancement layer's work among a GPU's threads, for bench/enhance_tiles.cu.
// They are for floats, channels first, and a number of values that is a multiple of kSector.
//
// A tile is a strip of pixels with all their channels, and the work of a block, an object with
//
//   rank()            the thread's number in the block, below kThreads
//   index(), count()  the block's number, and how many there are
//   sync()            waits for all of its threads
//   scratch()         memory that they share
//   copy(to, from)    begins to copy 4 floats there
//   commit()          ends a batch of copies
//   wait(n)           waits for the thread's own copies until at most n batches are under way
//   copy_row(to, from, n)  begins to copy n floats, a multiple of 4
//   wait_rows()       waits for all threads and their rows
//
// tests/cpp/kernels/test_enhance_tiles.cpp has one of CPU threads.

#include <cstdint>

#include "kernels/attention.hpp"
#include "kernels/parallel.hpp"
#include "kernels/sigmoid.hpp"
#include "kernels/tiles.hpp"

namespace enhance_ways {

using maap::FeatureShape;

constexpr int kSector = 8;  // floats in 32 bytes, the least that goes to or from a GPU's memory

/// Where a thread's first pixel is. A plane of 55 x 55 floats does not end with a sector, so a row
/// of a tile begins at another place in a sector in each channel.
enum class Edges {
  kOfPixels,  // the same pixel in all channels: a warp's 32 floats lie in 5 sectors, not in 4
  kShifted,   // where a sector begins; what lies in front of the tile is not used
  kOwn,  // as kShifted, and the tile's rows are whole sectors, so that nobody else writes there
};

/// How the pixels of an image are divided. A tile needs the sums of its `width` pixels and, for
/// whole sectors, of `reach` more.
struct Division {
  int per_image, width, reach;
};

/// Tiles whose rows may be read in a window of so many pixels.
inline Division divide(const FeatureShape& s, int window, Edges edges) {
  int common = kSector;  // a row begins at a multiple of this
  while (s.pixels % common != 0) common /= 2;
  const int most = kSector - common;
  const int lost = edges == Edges::kOfPixels ? 0 : edges == Edges::kShifted ? most : 2 * most;
  const int width = window - lost;
  return {(s.pixels + width - 1) / width, width, edges == Edges::kOwn ? most : 0};
}

/// A row of tile i: that of channel c.
struct Row {
  int64_t plane;         // the offset of the channel's first pixel
  int image, tile, end;  // the tile's first pixel, and the one behind it
  int window;            // the first pixel that is read, maybe in front of the plane
  int read_end;          // pixels [tile, read_end) are needed,
  int write, write_end;  // and these are written

  MAAP_HD Row(const FeatureShape& s, const Division& d, Edges edges, int i, int c) {
    image = i / d.per_image;
    tile = (i - image * d.per_image) * d.width;
    end = least(tile + d.width, s.pixels);
    plane = static_cast<int64_t>(image * s.channels + c) * s.pixels;
    const int shift = edges == Edges::kOfPixels ? 0 : in_sector(tile);
    window = tile - shift;
    read_end = least(end + d.reach, s.pixels);
    write = edges != Edges::kOwn || tile == 0 ? tile : least(next_sector(tile), s.pixels);
    write_end = edges != Edges::kOwn ? end : least(next_sector(end), s.pixels);
  }

 private:
  static MAAP_HD int least(int a, int b) { return a < b ? a : b; }
  MAAP_HD int in_sector(int pixel) const { return static_cast<int>(plane + pixel) & (kSector - 1); }
  MAAP_HD int next_sector(int pixel) const { return pixel + (-in_sector(pixel) & (kSector - 1)); }
};

/// What is multiplied with a pixel's values, and added.
struct Line {
  float factor, shift;
};

struct Forward {
  static constexpr bool kProduct = false;  // the sum is one of values
  FeatureShape s;
  const float* values;  // F
  const float* others;  // none
  float* out;
  float* a;
  MAAP_HD Line line(float total, int64_t at_map, bool keep) const {
    const float attention = maap::sigmoid(total / static_cast<float>(s.channels));
    if (keep) a[at_map] = attention;
    return {1.f + attention, 0.f};
  }
  MAAP_HD float apply(const Line& line, float value) const { return line.factor * value; }
};

struct Backward {
  static constexpr bool kProduct = true;  // of values with others
  FeatureShape s;
  const float* values;  // the gradient
  const float* others;  // F
  float* out;
  float* a;
  MAAP_HD Line line(float total, int64_t at_map, bool) const {
    const float attention = a[at_map];
    return {1.f + attention,
            attention * (1.f - attention) / static_cast<float>(s.channels) * total};
  }
  MAAP_HD float apply(const Line& line, float value) const {
    return line.factor * value + line.shift;
  }
};

/// Neighbouring floats that are read and written at once.
template <int n>
struct alignas(n * sizeof(float)) Floats {
  float x[n];
};

/// Reads and writes memory without hints.
struct PlainMemory {
  template <int n>
  static MAAP_HD Floats<n> load(const float* p) {
    return *reinterpret_cast<const Floats<n>*>(p);
  }
  template <int n>
  static MAAP_HD void store(float* p, const Floats<n>& values) {
    *reinterpret_cast<Floats<n>*>(p) = values;
  }
};

/// Where a pixel's sum lies among others, so that threads with several pixels each use different
/// banks of shared memory.
template <int kVector>
constexpr MAAP_HD int spread(int pixel) {
  return kVector == 1 ? pixel : pixel + pixel / 32;
}

/// out[j] of [write, write_end) from `values`, the pixels from `first` on. line_of(pixel) is asked
/// for these only.
template <class Memory, int kVector, class Op, class LineOf>
MAAP_HD inline void write_values(const Op& op, const Row& row, int64_t at, int first,
                                 const Floats<kVector>& values, const LineOf& line_of) {
  Floats<kVector> result;
#pragma unroll
  for (int j = 0; j < kVector; ++j) result.x[j] = op.apply(line_of(j), values.x[j]);
  if (first >= row.write && first + kVector <= row.write_end) {
    Memory::store(op.out + at, result);
    return;
  }
#pragma unroll
  for (int j = 0; j < kVector; ++j) {
    if (first + j >= row.write && first + j < row.write_end) op.out[at + j] = result.x[j];
  }
}

/// A thread keeps its values in registers while the sums are made. Way (below) says how the work is
/// divided: kGroups groups of channels, which lie kGroups apart; each thread of a group has kVector
/// neighbouring pixels.
template <class Op, class Way, class Memory, int kChannels>
struct RowTile {
  using Operation = Op;
  static constexpr Edges kEdges = Way::kEdges;
  static constexpr int kThreads = Way::kThreads, kGroups = Way::kGroups, kVector = Way::kVector;
  static constexpr int kWindow = kThreads / kGroups * kVector;
  static constexpr int kPer = (kChannels + kGroups - 1) / kGroups;
  static constexpr int kRowSize = kVector == 1 ? kWindow : kWindow + kWindow / 32;
  static constexpr int kPartFloats = kGroups * kRowSize;
  /// Two sets of parts, as the next tile's are written while slower threads read this one's.
  static constexpr int kScratch = Way::kTwoSteps
                                      ? kPartFloats + 2 * kRowSize
                                      : (Way::kPersistent ? 2 * kPartFloats : kPartFloats);
  static_assert(Way::kEdges == Edges::kOfPixels ? kVector == 1 : kGroups % kSector == 0,
                "all channels of a group begin at the same place in a sector");
  static_assert(!Way::kExact || kPer * kGroups == kChannels, "every thread has kPer channels");

  Op op;
  Division division;

  static constexpr MAAP_HD int scratch() { return kScratch; }
  int tiles() const { return op.s.n * division.per_image; }

  struct Values {
    Floats<kVector> v[kPer], w[kPer];
  };

  template <class Block>
  MAAP_HD void operator()(const Block& block) const {
    const int n = op.s.n * division.per_image;
    int i = block.index();
    if (i >= n) return;
    const int group = block.rank() / (kThreads / kGroups);
    const int offset = block.rank() % (kThreads / kGroups) * kVector;
    Values now;
    load(row_of(i, group), group, offset, &now);
    for (int turn = 0;; turn = Way::kTwoSteps ? 0 : 1 - turn) {
      const Row row = row_of(i, group);
      float* const parts = block.scratch() + turn * kPartFloats;
      write_parts(row, group, offset, now, parts);
      const bool more = Way::kPersistent && i + block.count() < n;
      Values next;
      if (more) load(row_of(i + block.count(), group), group, offset, &next);
      block.sync();
      if (Way::kTwoSteps) {
        write_lines(block, row, parts);
        block.sync();
      }
      write_out(row, group, offset, now, parts);
      if (!more) return;
      now = next;
      i += block.count();
    }
  }

 private:
  MAAP_HD Row row_of(int i, int group) const { return Row(op.s, division, Way::kEdges, i, group); }
  static MAAP_HD bool has(int channels, int group, int k) {
    return Way::kExact || group + k * kGroups < channels;
  }
  MAAP_HD int step() const { return kGroups * op.s.pixels; }
  /// The same, but what was computed with the other one is not kept for this one in registers.
  MAAP_HD int step_anew() const { return Way::kAnew ? maap::anew(step()) : step(); }
  MAAP_HD int64_t map(const Row& row) const {
    return static_cast<int64_t>(row.image) * op.s.pixels;
  }

  MAAP_HD void load(const Row& row, int group, int offset, Values* values) const {
    const int first = row.window + offset;
    const bool needed = first + kVector > row.tile && first < row.read_end;
    const float* v = op.values + row.plane + first;
    const float* w = op.others + row.plane + first;
#pragma unroll
    for (int k = 0; k < kPer; ++k, v += step(), w += step()) {
      const bool reads = needed && has(op.s.channels, group, k);
      values->v[k] = reads ? Memory::template load<kVector>(v) : Floats<kVector>();
      if (Op::kProduct) {
        values->w[k] = reads ? Memory::template load<kVector>(w) : Floats<kVector>();
      }
    }
  }

  /// The sums of the thread's own channels.
  MAAP_HD void write_parts(const Row& row, int group, int offset, const Values& values,
                           float* parts) const {
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      float part = 0;
#pragma unroll
      for (int k = 0; k < kPer; ++k) {
        part += Op::kProduct ? values.v[k].x[j] * values.w[k].x[j] : values.v[k].x[j];
      }
      const int pixel = row.window + offset + j;
      if (pixel >= row.tile && pixel < row.read_end) {
        parts[group * kRowSize + spread<kVector>(pixel - row.tile)] = part;
      }
    }
  }

  static MAAP_HD float total(const float* parts, int pixel) {
    float sum = 0;
#pragma unroll(kGroups < 16 ? kGroups : 16)
    for (int g = 0; g < kGroups; ++g) sum += parts[g * kRowSize + spread<kVector>(pixel)];
    return sum;
  }

  /// The second of two steps: a thread for each pixel.
  template <class Block>
  MAAP_HD void write_lines(const Block& block, const Row& row, float* parts) const {
    for (int q = block.rank(); q < row.read_end - row.tile; q += kThreads) {
      const Line line = op.line(total(parts, q), map(row) + row.tile + q, row.tile + q < row.end);
      parts[kPartFloats + spread<kVector>(q)] = line.factor;
      if (Op::kProduct) parts[kPartFloats + kRowSize + spread<kVector>(q)] = line.shift;
    }
  }

  /// The line of a pixel; in one step every group computes all of them.
  MAAP_HD Line line_of(const Row& row, int group, int pixel, const float* parts) const {
    if (pixel < row.tile || pixel >= row.read_end) return {0, 0};
    const int q = pixel - row.tile;
    if (Way::kTwoSteps) {
      const float* const lines = parts + kPartFloats + spread<kVector>(q);
      return {lines[0], Op::kProduct ? lines[kRowSize] : 0.f};
    }
    return op.line(total(parts, q), map(row) + pixel, group == 0 && pixel < row.end);
  }

  MAAP_HD void write_out(const Row& row, int group, int offset, const Values& values,
                         const float* parts) const {
    const int first = row.window + offset;
    Line lines[kVector];
#pragma unroll
    for (int j = 0; j < kVector; ++j) lines[j] = line_of(row, group, first + j, parts);
    int64_t at = row.plane + first;
    const int step = step_anew();
#pragma unroll
    for (int k = 0; k < kPer; ++k, at += step) {
      if (has(op.s.channels, group, k)) {
        write_values<Memory>(op, row, at, first, values.v[k], [&](int j) { return lines[j]; });
      }
    }
  }
};

/// The values are kept in shared memory, where they come without passing through registers. kWindow
/// pixels; with kStages = 2 the next tile's come while this one's are computed.
template <class Op, class Way, class Memory, int kChannels>
struct StagedTile {
  using Operation = Op;
  static constexpr Edges kEdges = Way::kEdges;
  static constexpr int kThreads = Way::kThreads, kWindow = Way::kWindow, kStages = Way::kStages;
  static constexpr int kGroups = kThreads / kWindow, kArrays = Op::kProduct ? 2 : 1;
  static constexpr int kRowSize = kWindow + kWindow / 32 + 1;
  static constexpr int kStage = kChannels * kWindow;
  static_assert(kStages == 1 || !Way::kBulk, "rows are waited for all together");

  Op op;
  Division division;

  static constexpr MAAP_HD int scratch() {
    return kStages * kArrays * kStage + (kGroups + 2) * kRowSize;
  }
  int tiles() const { return op.s.n * division.per_image; }

  template <class Block>
  MAAP_HD void operator()(const Block& block) const {
    const int n = op.s.n * division.per_image;
    int i = block.index();
    if (i >= n) return;
    float* const parts = block.scratch() + kStages * kArrays * kStage;
    start(block, i, block.scratch());
    for (int stage = 0;; stage = kStages - 1 - stage) {
      float* const here = block.scratch() + stage * kArrays * kStage;
      float* const there = block.scratch() + (kStages - 1 - stage) * kArrays * kStage;
      const bool more = kStages == 2 && i + block.count() < n;
      if (more) start(block, i + block.count(), there);
      arrive(block, more);
      write_parts(block, i, here, parts);
      block.sync();
      write_lines(block, i, parts);
      block.sync();
      write_out(block, i, here, parts + kGroups * kRowSize);
      if (!more) return;
      block.sync();
      i += block.count();
    }
  }

 private:
  MAAP_HD Row row_of(int i, int c) const { return Row(op.s, division, Way::kEdges, i, c); }
  MAAP_HD int64_t map(const Row& row) const {
    return static_cast<int64_t>(row.image) * op.s.pixels;
  }

  template <class Block>
  MAAP_HD void start(const Block& block, int i, float* stage) const {
    if (Way::kBulk) {
      start_rows(block, i, stage);
      return;
    }
    constexpr int kPerRow = kWindow / 4;
    for (int t = block.rank(); t < kChannels * kPerRow; t += kThreads) {
      const int c = t / kPerRow, x = t % kPerRow * 4;
      const Row row = row_of(i, c);
      const int first = row.window + x;
      if (first + 4 <= row.tile || first >= row.read_end) continue;
      block.copy(stage + c * kWindow + x, op.values + row.plane + first);
      if (Op::kProduct) {
        block.copy(stage + kStage + c * kWindow + x, op.others + row.plane + first);
      }
    }
    block.commit();
  }

  template <class Block>
  MAAP_HD void start_rows(const Block& block, int i, float* stage) const {
    for (int c = block.rank(); c < kChannels; c += kThreads) {
      const Row row = row_of(i, c);
      const int x = (row.tile - row.window) / 4 * 4;
      const int n = (row.read_end - row.window - x + 3) / 4 * 4;
      const int64_t at = row.plane + row.window + x;
      block.copy_row(stage + c * kWindow + x, op.values + at, n);
      if (Op::kProduct) block.copy_row(stage + kStage + c * kWindow + x, op.others + at, n);
    }
  }

  template <class Block>
  static MAAP_HD void arrive(const Block& block, bool more) {
    if (Way::kBulk) {
      block.wait_rows();
    } else {
      block.wait(more);
      block.sync();
    }
  }

  template <class Block>
  MAAP_HD void write_parts(const Block& block, int i, const float* stage, float* parts) const {
    const int q = block.rank() % kWindow, group = block.rank() / kWindow;
    const Row first = row_of(i, 0);
    if (q >= first.read_end - first.tile) return;
    // From channel to channel, a row's place in its sector changes by as much as the plane's size.
    const bool shifted = Way::kEdges != Edges::kOfPixels;
    unsigned place = static_cast<unsigned>(first.plane) + first.tile + group * op.s.pixels;
    float part = 0;
#pragma unroll 8
    for (int c = group; c < kChannels; c += kGroups, place += kGroups * op.s.pixels) {
      const float* const v = stage + c * kWindow + (shifted ? place % kSector : 0) + q;
      part += Op::kProduct ? v[0] * v[kStage] : v[0];
    }
    parts[group * kRowSize + spread<4>(q)] = part;
  }

  template <class Block>
  MAAP_HD void write_lines(const Block& block, int i, float* parts) const {
    const Row row = row_of(i, 0);
    const int q = block.rank();
    if (q >= row.read_end - row.tile) return;
    float total = 0;
#pragma unroll
    for (int g = 0; g < kGroups; ++g) total += parts[g * kRowSize + spread<4>(q)];
    const int pixel = row.tile + q;
    const Line line = op.line(total, map(row) + pixel, pixel < row.end);
    float* const lines = parts + kGroups * kRowSize + spread<4>(q);
    lines[0] = line.factor;
    if (Op::kProduct) lines[kRowSize] = line.shift;
  }

  template <class Block>
  MAAP_HD void write_out(const Block& block, int i, const float* stage, const float* lines) const {
    constexpr int kPerRow = kWindow / 4;
    for (int t = block.rank(); t < kChannels * kPerRow; t += kThreads) {
      const int c = t / kPerRow, x = t % kPerRow * 4;
      const Row row = row_of(i, c);
      const int first = row.window + x;
      if (first + 4 <= row.write || first >= row.write_end) continue;
      const auto line_of = [&](int j) -> Line {
        const int q = first + j - row.tile;
        if (q < 0 || q >= row.read_end - row.tile) return {0, 0};
        return {lines[spread<4>(q)], Op::kProduct ? lines[kRowSize + spread<4>(q)] : 0.f};
      };
      const auto values = PlainMemory::load<4>(stage + c * kWindow + x);
      write_values<Memory>(op, row, row.plane + first, first, values, line_of);
    }
  }
};

}  // namespace enhance_ways

#endif  // BENCH_ENHANCE_TILES_HPP_
