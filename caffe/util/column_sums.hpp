#ifndef CAFFE_UTIL_COLUMN_SUMS_HPP_
#define CAFFE_UTIL_COLUMN_SUMS_HPP_

// caffe/util/channel_sums.hpp on a GPU where the channels are the last axis, so that a channel is a
// column: a team adds up a few neighbouring columns of a part of the rows, and neighbouring threads
// read neighbouring values. A second step adds up the parts.

#include <algorithm>

#include "caffe/blob.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/paired_sum.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/row_teams.hpp"

namespace caffe {
namespace internal {

constexpr int kColumns = 32;  // of a team
/// Enough teams to fill a large GPU.
constexpr int kColumnTeams = 1024;
/// Fewer are not worth a team.
constexpr int kLeastRows = 64;

template <typename F, typename Sum>
struct ColumnSums {
  int rows, channels, rows_per_part;
  F f;
  Sum* sums;  // [parts, channels, 2]
  template <typename Team>
  CAFFE_HD void operator()(int i, const Team& team) const {
    using W = typename Sum::Working;
    static_assert(2 * sizeof(Sum) * Team::size() <= maap::kTeamScratch, "the sums must fit");
    const int across = (channels + kColumns - 1) / kColumns, part = i / across;
    const int lane = team.rank() % kColumns, group = team.rank() / kColumns;
    const int groups = Team::size() / kColumns, channel = i % across * kColumns + lane;
    const int begin = part * rows_per_part;
    const int end = begin + rows_per_part < rows ? begin + rows_per_part : rows;
    Sum first = {}, second = {};
    if (channel < channels) {
      for (int row = begin + group; row < end; row += groups) {
        first.add(f.template first<W>(channel, row * channels + channel));
        second.add(f.template second<W>(channel, row * channels + channel));
      }
    }
    Sum* const firsts = static_cast<Sum*>(team.scratch());
    Sum* const seconds = firsts + Team::size();
    firsts[team.rank()] = first;
    seconds[team.rank()] = second;
    team.sync();
    if (group > 0 || channel >= channels) return;
    for (int g = 1; g < groups; ++g) {
      first = first + firsts[g * kColumns + lane];
      second = second + seconds[g * kColumns + lane];
    }
    sums[2 * (part * channels + channel)] = first;
    sums[2 * (part * channels + channel) + 1] = second;
  }
};

template <typename Store, typename Sum>
struct SumOfColumnParts {
  int parts, channels;
  const Sum* sums;  // [parts, channels, 2]
  Store store;
  template <typename Team>
  CAFFE_HD void operator()(int channel, const Team& team) const {
    Sum first = {}, second = {};
    for (int part = team.rank(); part < parts; part += Team::size()) {
      first = first + sums[2 * (part * channels + channel)];
      second = second + sums[2 * (part * channels + channel) + 1];
    }
    first = team.sum(first);
    second = team.sum(second);
    if (team.rank() == 0) store(channel, first.total(), second.total());
  }
};

/// channel_sums() for values (row, channel) of index row channels + channel.
template <typename F, typename Store>
void gpu_column_sums(int rows, int channels, const F& f, Blob<double>* memory, const Store& store) {
  using Sum = GpuSum<typename F::Value>;
  static_assert(sizeof(Sum) == sizeof(double), "the memory for a double holds a sum");
  const int across = (channels + kColumns - 1) / kColumns;
  const int wanted = std::max(1, std::min(rows / kLeastRows, kColumnTeams / across));
  const int rows_per_part = (rows + wanted - 1) / wanted;
  const int parts = rows > 0 ? (rows + rows_per_part - 1) / rows_per_part : 0;
  memory->Reshape({std::max(1, parts), channels, 2});
  Sum* const sums = reinterpret_cast<Sum*>(memory->mutable_gpu_data());
  if (parts > 0) {
    maap::internal::gpu_tiles(parts * across,
                              ColumnSums<F, Sum>{rows, channels, rows_per_part, f, sums});
  }
  maap::internal::gpu_row_teams(channels, parts,
                                SumOfColumnParts<Store, Sum>{parts, channels, sums, store});
}

}  // namespace internal
}  // namespace caffe

#endif  // CAFFE_UTIL_COLUMN_SUMS_HPP_
