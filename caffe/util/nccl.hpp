#ifndef CAFFE_UTIL_NCCL_HPP_
#define CAFFE_UTIL_NCCL_HPP_

// Empty, as in a BVLC Caffe without USE_NCCL: for programs that include it.

#endif  // CAFFE_UTIL_NCCL_HPP_
