#ifndef CAFFE_LAYERS_DEVICE_HPP_
#define CAFFE_LAYERS_DEVICE_HPP_

namespace maap {

/// Where something is computed, and where its pointers point to.
enum class Device { kCPU, kGPU };

}  // namespace maap

#endif  // CAFFE_LAYERS_DEVICE_HPP_
