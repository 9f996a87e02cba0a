#ifndef CAFFE_LAYERS_AXIS_HPP_
#define CAFFE_LAYERS_AXIS_HPP_

#include "caffe/layer.hpp"

namespace caffe {

/// The axis in [0, num_axes) that `axis`, which may be negative, means for the blob. Throws an
/// Error that names the layer if there is no such axis.
template <typename Dtype>
int axis_of(const Layer<Dtype>& layer, const Blob<Dtype>& blob, int axis) {
  const int index = axis < 0 ? axis + blob.num_axes() : axis;
  CAFFE_CHECK(index >= 0 && index < blob.num_axes(),
              layer.name() << "axis is " << axis << ", and the bottom has " << blob.num_axes()
                           << " axes (shape " << blob.shape_string() << ")");
  return index;
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_AXIS_HPP_
