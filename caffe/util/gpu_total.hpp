#ifndef CAFFE_UTIL_GPU_TOTAL_HPP_
#define CAFFE_UTIL_GPU_TOTAL_HPP_

// For .cu files only (kernels/parallel.hpp).

#include <algorithm>

#include "caffe/blob.hpp"
#include "caffe/util/paired_sum.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

/// Memory for the sums of the thread's calls of gpu_total; calls on one stream use it one after the
/// other.
Blob<double>* gpu_total_pieces();

namespace internal {

/// A team adds up this many values.
constexpr int kPieceOfTotal = 8192;

/// What a sum is as one number of its type.
template <typename T>
CAFFE_HD inline T rounded(const PairedSum<T>& sum) {
  return sum.low - sum.low == T(0) ? sum.high + sum.low : sum.high;
}
CAFFE_HD inline double rounded(const DoubleSum& sum) {
  return sum.value;
}

/// The sums of a piece of the values, or with one piece of all, which are then the result.
template <typename F, typename Store, typename Sum>
struct TotalOfPiece {
  int n, pieces;
  F f;
  Store store;
  Sum* sums;  // [pieces, 2]
  template <typename Team>
  CAFFE_HD void operator()(int piece, const Team& team) const {
    using W = typename Sum::Working;
    const int begin = piece * kPieceOfTotal;
    const int length = n - begin < kPieceOfTotal ? n - begin : kPieceOfTotal;
    Sum first = {}, second = {};
    for (int at = team.rank(); at < length; at += Team::size()) {
      first.add(f.template first<W>(0, begin + at));
      second.add(f.template second<W>(0, begin + at));
    }
    first = team.sum(first);
    second = team.sum(second);
    if (team.rank() != 0) return;
    if (pieces == 1) {
      store(0, rounded(first), rounded(second));
    } else {
      sums[2 * piece] = first;
      sums[2 * piece + 1] = second;
    }
  }
};

template <typename Store, typename Sum>
struct TotalOfPieces {
  int pieces;
  const Sum* sums;  // [pieces, 2]
  Store store;
  template <typename Team>
  CAFFE_HD void operator()(int, const Team& team) const {
    Sum first = {}, second = {};
    for (int p = team.rank(); p < pieces; p += Team::size()) {
      first = first + sums[2 * p];
      second = second + sums[2 * p + 1];
    }
    first = team.sum(first);
    second = team.sum(second);
    if (team.rank() == 0) store(0, rounded(first), rounded(second));
  }
};

}  // namespace internal

/// On a GPU: store(0, sum of f.first(0, i), sum of f.second(0, i)) over i < n, for a functor as
/// channel_sums takes. Calls each once for every i; the order depends on n alone; waits for
/// nothing.
template <typename F, typename Store>
void gpu_total(int n, const F& f, const Store& store) {
  using Sum = GpuSum<typename F::Value>;
  static_assert(sizeof(Sum) == sizeof(double), "the memory for a double holds a sum");
  constexpr int kPiece = internal::kPieceOfTotal;
  const int pieces = n > kPiece ? (n - 1) / kPiece + 1 : 1;
  Sum* sums = nullptr;
  if (pieces > 1) {
    gpu_total_pieces()->Reshape({pieces, 2});
    sums = reinterpret_cast<Sum*>(gpu_total_pieces()->mutable_gpu_data());
  }
  maap::internal::gpu_tiles(pieces,
                            internal::TotalOfPiece<F, Store, Sum>{n, pieces, f, store, sums});
  if (pieces > 1) {
    maap::internal::gpu_tiles(1, internal::TotalOfPieces<Store, Sum>{pieces, sums, store});
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_TOTAL_HPP_
