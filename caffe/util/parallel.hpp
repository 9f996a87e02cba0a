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

}  // namespace caffe

#endif  // CAFFE_UTIL_PARALLEL_HPP_
