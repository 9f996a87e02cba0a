#ifndef CAFFE_UTIL_PARALLEL_HPP_
#define CAFFE_UTIL_PARALLEL_HPP_

// parallel_for and parallel_teams for the engine's layers. The essay and the code are in
// kernels/parallel.hpp, which the plugin for other Caffes needs as well; here they get the
// engine's names and the thread's mode.

#include "caffe/common.hpp"
#include "kernels/parallel.hpp"

#define CAFFE_HD MAAP_HD

namespace caffe {

using maap::Device;
using maap::parallel_for;
using maap::parallel_teams;

/// Where the calling thread computes.
inline Device current_device() {
  return Caffe::mode() == Caffe::GPU ? Device::kGPU : Device::kCPU;
}

/// f(i) for every i in [0, n) where the calling thread computes.
template <typename F>
void parallel_for(int64_t n, const F& f) {
  parallel_for(current_device(), n, f);
}

/// The same where one f(i) is a row of about `work` elements, so that few of them are worth
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
  int inner;
  F f;
  CAFFE_HD void operator()(int i) const { f(i / inner, i); }
};

}  // namespace internal

/// f(i / inner, i) for every i in [0, rows * inner): for arrays of planes, each of which has a
/// value of its own somewhere (a channel's slope, say). On the CPU plane by plane, vectorised: f
/// must not read at j what it writes at i.
template <typename F>
void parallel_planes(int rows, int inner, const F& f) {
  parallel_for(current_device(), rows, inner, internal::Plane<F>{inner, f},
               static_cast<int64_t>(rows) * inner, internal::PlaneElement<F>{inner, f});
}

}  // namespace caffe

#endif  // CAFFE_UTIL_PARALLEL_HPP_
