#ifndef CAFFE_UTIL_CHANNEL_SUMS_HPP_
#define CAFFE_UTIL_CHANNEL_SUMS_HPP_

// Sums over all axes but one: statistics of a channel, or the gradient of a channel's parameter.
// They are computed in double, in an order that does not depend on the number of threads: plane by
// plane on the CPU; on the GPU by channel and part of the images, since a plane of 7 x 7 values
// would leave most of a team idle.

#include "caffe/blob.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

namespace internal {

/// Planes with fewer values than this get no separate sums.
constexpr int kShortPlane = 16;

/// Writes the sums of a team's parts.
template <typename Team>
CAFFE_HD void store_sums(int row, double first, double second, const Team& team, double* sums) {
  first = team.sum(first);
  second = team.sum(second);
  if (team.rank() == 0) {
    sums[2 * row] = first;
    sums[2 * row + 1] = second;
  }
}

template <typename F>
struct PlaneSums {
  ChannelShape shape;
  F f;
  double* sums;  // [outer channels, 2]
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    const F local = f;
    const int channel = row % shape.channels, begin = row * shape.inner;
    const int end = begin + shape.inner;
    double first = 0, second = 0;
    MAAP_SIMD_SUM(first, second)
    for (int i = begin + team.rank(); i < end; i += Team::size()) {
      first += local.first(channel, i);
      second += local.second(channel, i);
    }
    store_sums(row, first, second, team, sums);
  }
};

template <typename Store>
struct SumOfPlanes {
  ChannelShape shape;
  const double* sums;  // [outer channels, 2]
  Store store;
  CAFFE_HD void operator()(int channel) const {
    double first = 0, second = 0;
    for (int o = 0; o < shape.outer; ++o) {
      first += sums[2 * (o * shape.channels + channel)];
      second += sums[2 * (o * shape.channels + channel) + 1];
    }
    store(channel, first, second);
  }
};

template <typename F, typename Store>
struct SumOfValues {
  ChannelShape shape;
  F f;
  Store store;
  CAFFE_HD void operator()(int channel) const {
    double first = 0, second = 0;
    for (int o = 0; o < shape.outer; ++o) {
      const int begin = (o * shape.channels + channel) * shape.inner;
      for (int i = begin; i < begin + shape.inner; ++i) {
        first += f.first(channel, i);
        second += f.second(channel, i);
      }
    }
    store(channel, first, second);
  }
};

/// On the GPU: a team adds up one channel of a part of the images.
template <typename F>
struct PartSums {
  ChannelShape shape;
  int images;  // per part
  F f;
  double* sums;  // [parts channels, 2]
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    const int channel = row % shape.channels, from = row / shape.channels * images;
    const int to = from + images < shape.outer ? from + images : shape.outer;
    double first = 0, second = 0;
    for (int k = team.rank(); k < (to - from) * shape.inner; k += Team::size()) {
      const int image = from + k / shape.inner;
      const int i = (image * shape.channels + channel) * shape.inner + k % shape.inner;
      first += f.first(channel, i);
      second += f.second(channel, i);
    }
    store_sums(row, first, second, team, sums);
  }
};

/// Enough teams to fill a large GPU: a team per channel and part of the images.
constexpr int kTeams = 1024;

template <typename F, typename Store>
void gpu_channel_sums(const ChannelShape& shape, const F& f, Blob<double>* planes,
                      const Store& store) {
  const int wanted = std::max(1, std::min(shape.outer, kTeams / std::max(shape.channels, 1)));
  const int images = (shape.outer + wanted - 1) / wanted;
  ChannelShape parts = shape;
  parts.outer = images > 0 ? (shape.outer + images - 1) / images : 0;
  planes->Reshape({parts.rows(), 2});
  double* const sums = planes->mutable_gpu_data();
  maap::internal::gpu_tiles(parts.rows(), PartSums<F>{shape, images, f, sums});
  parallel_for(shape.channels, SumOfPlanes<Store>{parts, sums, store});
}

}  // namespace internal

/// For every channel c: store(c, sum of f.first(c, i), sum of f.second(c, i)), over the indices i
/// of its values. `planes` is memory for the sums, kept between calls.
template <typename F, typename Store>
void channel_sums(const ChannelShape& shape, const F& f, Blob<double>* planes, const Store& store) {
  if (current_device() == Device::kGPU && shape.rows() * shape.inner > 0) {
    internal::gpu_channel_sums(shape, f, planes, store);
    return;
  }
  if (shape.inner < internal::kShortPlane) {
    parallel_rows(shape.channels, static_cast<int64_t>(shape.outer) * shape.inner,
                  internal::SumOfValues<F, Store>{shape, f, store});
    return;
  }
  const int rows = shape.rows();
  planes->Reshape({rows, 2});
  double* const sums = planes->mutable_active_data();
  parallel_teams(current_device(), rows, shape.inner, internal::PlaneSums<F>{shape, f, sums});
  parallel_rows(shape.channels, shape.outer, internal::SumOfPlanes<Store>{shape, sums, store});
}

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_SUMS_HPP_
