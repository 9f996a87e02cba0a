#ifndef CAFFE_UTIL_DEVICE_ALTERNATE_HPP_
#define CAFFE_UTIL_DEVICE_ALTERNATE_HPP_

// Macros for layers written in Caffe's style, with the GPU methods in a separate .cu file that a
// build without CUDA (CPU_ONLY) leaves out. This repository's own layers do not need them.

#include "caffe/util/error.hpp"

#define NO_GPU CAFFE_FAIL("cannot use the GPU: this Caffe was built without CUDA")

#ifdef CPU_ONLY
#define STUB_GPU(classname)                                                                       \
  template <typename Dtype>                                                                       \
  void classname<Dtype>::Forward_gpu(const std::vector<Blob<Dtype>*>&,                            \
                                     const std::vector<Blob<Dtype>*>&) {                          \
    NO_GPU;                                                                                       \
  }                                                                                               \
  template <typename Dtype>                                                                       \
  void classname<Dtype>::Backward_gpu(const std::vector<Blob<Dtype>*>&, const std::vector<bool>&, \
                                      const std::vector<Blob<Dtype>*>&) {                         \
    NO_GPU;                                                                                       \
  }

#define STUB_GPU_FORWARD(classname, funcname)                                 \
  template <typename Dtype>                                                   \
  void classname<Dtype>::funcname##_##gpu(const std::vector<Blob<Dtype>*>&,   \
                                          const std::vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                   \
  }

#define STUB_GPU_BACKWARD(classname, funcname)                                \
  template <typename Dtype>                                                   \
  void classname<Dtype>::funcname##_##gpu(const std::vector<Blob<Dtype>*>&,   \
                                          const std::vector<bool>&,           \
                                          const std::vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                   \
  }
#endif  // CPU_ONLY

#endif  // CAFFE_UTIL_DEVICE_ALTERNATE_HPP_
