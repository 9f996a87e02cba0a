#ifndef CAFFE_UTIL_SIGNAL_HANDLER_H_
#define CAFFE_UTIL_SIGNAL_HANDLER_H_

// BVLC Caffe's name for caffe/util/signal_handler.hpp.
#include "caffe/util/signal_handler.hpp"

#endif  // CAFFE_UTIL_SIGNAL_HANDLER_H_
