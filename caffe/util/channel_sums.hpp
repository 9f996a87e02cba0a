#ifndef CAFFE_UTIL_CHANNEL_SUMS_HPP_
#define CAFFE_UTIL_CHANNEL_SUMS_HPP_

// Sums over all axes but one: statistics of a channel, or the gradient of a channel's parameter.
// They are computed in double, plane by plane, in an order that does not depend on the number of
// threads.

#include "caffe/blob.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace internal {

/// Planes with fewer values than this get no separate sums.
constexpr int kShortPlane = 16;

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
    first = team.sum(first);
    second = team.sum(second);
    if (team.rank() == 0) {
      sums[2 * row] = first;
      sums[2 * row + 1] = second;
    }
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

}  // namespace internal

/// For every channel c: store(c, sum of f.first(c, i), sum of f.second(c, i)), over the indices i
/// of its values. `planes` is memory for the sums, kept between calls.
template <typename F, typename Store>
void channel_sums(const ChannelShape& shape, const F& f, Blob<double>* planes, const Store& store) {
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
