#ifndef KERNELS_DEVICE_HPP_
#define KERNELS_DEVICE_HPP_

/// Whether GPU methods are compiled: by nvcc, or for the tests' shadow device (tests/shadow).
#if defined(__CUDACC__) || defined(MAAP_SHADOW)
#define MAAP_GPU 1
#else
#define MAAP_GPU 0
#endif

namespace maap {

/// The device that computes and whose memory the pointers point to.
enum class Device { kCPU, kGPU };

}  // namespace maap

#endif  // KERNELS_DEVICE_HPP_
