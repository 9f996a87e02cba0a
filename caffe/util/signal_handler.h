// BVLC Caffe's name for caffe/util/signal_handler.hpp.
#include "caffe/util/signal_handler.hpp"
