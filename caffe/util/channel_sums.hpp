#ifndef CAFFE_UTIL_CHANNEL_SUMS_HPP_
#define CAFFE_UTIL_CHANNEL_SUMS_HPP_

// Sums over all axes but one: statistics of a channel, or the gradient of a channel's parameter.
// Their order does not depend on the number of threads. The CPU adds up plane by plane, in double.
// A GPU adds up by channel and part of the images, since a plane of 7 x 7 values would leave most
// of a team idle, and floats in pairs of floats (paired_sum.hpp); channels that are the last axis
// by column_sums.hpp.
//
// What is added up is a functor F with
//
//   using Value = T;                                    // float or double, the type of its arrays
//   template <typename W> CAFFE_HD W first(int c, int i) const;
//   template <typename W> CAFFE_HD W second(int c, int i) const;
//
// for value i, which is of channel c. W is the type that the sum is computed in; instead of a W
// they may return a Product<W>. Where a term depends on a comparison, it is one of Ws: with one of
// another width the compiler does not vectorise the CPU's sum.

#include "caffe/blob.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/column_sums.hpp"
#include "caffe/util/paired_sum.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/row_teams.hpp"

namespace caffe {

namespace internal {

/// Planes with fewer values than this get no separate sums.
constexpr int kShortPlane = 16;

CAFFE_HD inline double in_double(double term) {
  return term;
}
CAFFE_HD inline double in_double(const Product<double>& term) {
  return term.a * term.b;
}

template <typename F>
struct PlaneSums {
  ChannelShape shape;
  F f;
  double* sums;  // [outer channels, 2]
  CAFFE_HD void operator()(int row) const {
    const F local = f;
    const int channel = row % shape.channels, begin = row * shape.inner;
    const int end = begin + shape.inner;
    double first = 0, second = 0;
    MAAP_SIMD_SUM(first, second)
    for (int i = begin; i < end; ++i) {
      first += in_double(local.template first<double>(channel, i));
      second += in_double(local.template second<double>(channel, i));
    }
    sums[2 * row] = first;
    sums[2 * row + 1] = second;
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
        first += in_double(f.template first<double>(channel, i));
        second += in_double(f.template second<double>(channel, i));
      }
    }
    store(channel, first, second);
  }
};

template <typename F, typename Store>
void cpu_channel_sums(const ChannelShape& shape, const F& f, Blob<double>* planes,
                      const Store& store) {
  using maap::internal::cpu_for;
  if (shape.inner < kShortPlane) {
    const int64_t work = static_cast<int64_t>(shape.outer) * shape.inner;
    cpu_for(shape.channels, work, SumOfValues<F, Store>{shape, f, store});
    return;
  }
  planes->Reshape({shape.rows(), 2});
  double* const sums = planes->mutable_cpu_data();
  cpu_for(shape.rows(), shape.inner, PlaneSums<F>{shape, f, sums});
  cpu_for(shape.channels, shape.outer, SumOfPlanes<Store>{shape, sums, store});
}

/// On the GPU: a team adds up one channel of a part of the images.
template <typename F, typename Sum>
struct PartSums {
  ChannelShape shape;
  int images;  // per part
  F f;
  Sum* sums;  // [parts channels, 2]
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    using W = typename Sum::Working;
    const int channel = row % shape.channels, from = row / shape.channels * images;
    const int to = from + images < shape.outer ? from + images : shape.outer;
    const int whole = Team::size() / shape.inner, rest = Team::size() % shape.inner;
    int image = from + team.rank() / shape.inner, at = team.rank() % shape.inner;
    Sum first = {}, second = {};
    while (image < to) {
      const int i = (image * shape.channels + channel) * shape.inner + at;
      first.add(f.template first<W>(channel, i));
      second.add(f.template second<W>(channel, i));
      image += whole;  // the team's next values; without a division for each
      at += rest;
      if (at >= shape.inner) {
        at -= shape.inner;
        ++image;
      }
    }
    first = team.sum(first);
    second = team.sum(second);
    if (team.rank() == 0) {
      sums[2 * row] = first;
      sums[2 * row + 1] = second;
    }
  }
};

template <typename Store, typename Sum>
struct SumOfParts {
  ChannelShape shape;
  const Sum* sums;  // [outer channels, 2]
  Store store;
  CAFFE_HD void operator()(int channel) const {
    Sum first = {}, second = {};
    for (int o = 0; o < shape.outer; ++o) {
      first = first + sums[2 * (o * shape.channels + channel)];
      second = second + sums[2 * (o * shape.channels + channel) + 1];
    }
    store(channel, first.total(), second.total());
  }
};

/// Enough teams to fill a large GPU: a team per channel and part of the images.
constexpr int kTeams = 1024;

template <typename F, typename Store>
void gpu_channel_sums(const ChannelShape& shape, const F& f, Blob<double>* planes,
                      const Store& store) {
  if (shape.inner == 1 && shape.channels > 1) {
    return gpu_column_sums(shape.outer, shape.channels, f, planes, store);
  }
  using Sum = GpuSum<typename F::Value>;
  static_assert(sizeof(Sum) == sizeof(double), "the memory for a double holds a sum");
  const int wanted = std::max(1, std::min(shape.outer, kTeams / std::max(shape.channels, 1)));
  const int images = (shape.outer + wanted - 1) / wanted;
  ChannelShape parts = shape;
  parts.outer = shape.inner > 0 && images > 0 ? (shape.outer + images - 1) / images : 0;
  planes->Reshape({std::max(1, parts.rows()), 2});
  Sum* const sums = reinterpret_cast<Sum*>(planes->mutable_gpu_data());
  if (parts.rows() > 0)
    maap::internal::gpu_row_teams(parts.rows(), static_cast<int64_t>(images) * shape.inner,
                                  PartSums<F, Sum>{shape, images, f, sums});
  parallel_for(Device::kGPU, shape.channels, SumOfParts<Store, Sum>{parts, sums, store});
}

}  // namespace internal

/// For every channel c: store(c, sum of f.first(c, i), sum of f.second(c, i)), over the indices i
/// of its values. `planes` is memory for the sums, kept between calls.
template <typename F, typename Store>
void channel_sums(const ChannelShape& shape, const F& f, Blob<double>* planes, const Store& store) {
  if (current_device() == Device::kGPU) {
    internal::gpu_channel_sums(shape, f, planes, store);
  } else {
    internal::cpu_channel_sums(shape, f, planes, store);
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_SUMS_HPP_
