#ifndef CAFFE_UTIL_PARALLEL_HPP_
#define CAFFE_UTIL_PARALLEL_HPP_

// parallel_for and parallel_teams for the engine's layers. The essay and the code are in
// caffe_layers/parallel.hpp, which the plugin for other Caffes needs as well; here they get the
// engine's names and the thread's mode.

#include "caffe/common.hpp"
#include "caffe_layers/parallel.hpp"

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

}  // namespace caffe

#endif  // CAFFE_UTIL_PARALLEL_HPP_
