#ifndef CAFFE_LAYERS_CONV_AXES_HPP_
#define CAFFE_LAYERS_CONV_AXES_HPP_

#include <string>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// What a ConvolutionParameter says about each spatial axis; each vector has at least one value.
struct ConvAxes {
  std::vector<int> kernel, stride, pad, dilation;
};

/// Reads them for `axes` spatial axes; 0 means 1 x 1 planes without axes. Throws an Error that
/// begins with `layer` and names the field that is missing, set twice, too short or too small.
ConvAxes read_conv_axes(const std::string& layer, const ConvolutionParameter& param, int axes);

}  // namespace caffe

#endif  // CAFFE_LAYERS_CONV_AXES_HPP_
