#ifndef CAFFE_UTIL_WEIGHTS_HPP_
#define CAFFE_UTIL_WEIGHTS_HPP_

#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Reads a .caffemodel of any fork of Caffe for its layers' names, types and blobs alone, so that
/// it does not matter what the numbers of its other fields mean (caffe/proto/weights.proto). Layers
/// of older forms become those of today; values that NVIDIA's Caffe stores as raw bytes (FLOAT,
/// DOUBLE or FLOAT16) become data. The values are held once. Throws an Error if the file cannot be
/// read or is damaged.
void ReadWeightsFromBinaryFile(const string& filename, NetParameter* weights);

}  // namespace caffe

#endif  // CAFFE_UTIL_WEIGHTS_HPP_
