#ifndef CAFFE_UTIL_GPU_CAPABILITY_HPP_
#define CAFFE_UTIL_GPU_CAPABILITY_HPP_

namespace caffe {
namespace device {

/// The compute capability of the calling thread's GPU: 75 for 7.5 (Turing), 90 for 9.0 (Hopper).
int capability();

}  // namespace device
}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_CAPABILITY_HPP_
