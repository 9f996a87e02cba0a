#ifndef TESTS_SHADOW_INCLUDE_CUDA_H_
#define TESTS_SHADOW_INCLUDE_CUDA_H_

// The driver's header: code written for Caffe includes it; nothing here uses the driver directly.

#define CUDA_VERSION 13000

typedef struct CUstream_st* CUstream;

#endif  // TESTS_SHADOW_INCLUDE_CUDA_H_
