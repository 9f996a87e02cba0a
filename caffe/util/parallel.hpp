#ifndef CAFFE_UTIL_PARALLEL_HPP_
#define CAFFE_UTIL_PARALLEL_HPP_

// parallel_for and parallel_teams for the engine's layers. The essay and the code are in
// kernels/parallel.hpp, which the plugin for other Caffes needs as well; this header adds the
// engine's names and the thread's mode.

#include "caffe/common.hpp"
#include "caffe/util/divisor.hpp"
#include "kernels/parallel.hpp"

#define CAFFE_HD MAAP_HD

namespace caffe {

using maap::Device;
using maap::parallel_for;
using maap::parallel_teams;

/// The device that the calling thread's mode selects.
inline Device current_device() {
  return Caffe::mode() == Caffe::GPU ? Device::kGPU : Device::kCPU;
}

/// Calls f(i) for every i in [0, n) on the device that the calling thread's mode selects.
template <typename F>
void parallel_for(int64_t n, const F& f) {
  parallel_for(current_device(), n, f);
}

/// The same if one f(i) processes about `work` elements, so that few calls already justify several
/// threads.
template <typename F>
void parallel_rows(int64_t n, int64_t work, const F& f) {
  parallel_for(current_device(), n, work, f, n, f);
}

namespace internal {

template <typename F>
struct Plane {
  int inner;
  F f;
  CAFFE_HD void operator()(int row) const {
    const F local = f;
    const int begin = row * inner, end = begin + inner;
    MAAP_SIMD for (int i = begin; i < end; ++i) local(row, i);
  }
};

template <typename F>
struct PlaneElement {
  Divisor inner;
  F f;
  CAFFE_HD void operator()(int i) const { f(i / inner, i); }
};

}  // namespace internal

/// Calls f(i / inner, i) for every i in [0, rows * inner): for arrays of planes that each have an
/// associated value (a channel's slope, for example). On the CPU it runs plane by plane and
/// vectorised: f must not read at j what it writes at i.
template <typename F>
void parallel_planes(int rows, int inner, const F& f) {
  parallel_for(current_device(), rows, inner, internal::Plane<F>{inner, f},
               static_cast<int64_t>(rows) * inner, internal::PlaneElement<F>{inner, f});
}

}  // namespace caffe

#endif  // CAFFE_UTIL_PARALLEL_HPP_
