#ifndef CAFFE_UTIL_CUDNN_HPP_
#define CAFFE_UTIL_CUDNN_HPP_

// As in a BVLC Caffe without USE_CUDNN: for programs that include it. BVLC Caffe's wrappers of
// cuDNN 4 to 7 (namespace caffe::cudnn) do not exist here; a layer's field `engine` chooses the
// library.

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

#endif  // CAFFE_UTIL_CUDNN_HPP_
