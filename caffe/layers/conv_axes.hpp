#ifndef CAFFE_LAYERS_CONV_AXES_HPP_
#define CAFFE_LAYERS_CONV_AXES_HPP_

#include <string>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// What a ConvolutionParameter says of each spatial axis, at least one value each.
struct ConvAxes {
  std::vector<int> kernel, stride, pad, dilation;
};

/// Reads them for `axes` spatial axes, none for 1 x 1 planes without axes. An Error that begins
/// with `layer` says which field is missing, given twice, too short a list or too small.
ConvAxes read_conv_axes(const std::string& layer, const ConvolutionParameter& param, int axes);

}  // namespace caffe

#endif  // CAFFE_LAYERS_CONV_AXES_HPP_
