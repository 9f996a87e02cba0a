#ifndef KERNELS_DEVICE_HPP_
#define KERNELS_DEVICE_HPP_

namespace maap {

/// The device that computes and whose memory the pointers point to.
enum class Device { kCPU, kGPU };

}  // namespace maap

#endif  // KERNELS_DEVICE_HPP_
