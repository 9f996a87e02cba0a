#ifndef CAFFE_LAYERS_BROADCAST_HPP_
#define CAFFE_LAYERS_BROADCAST_HPP_

// For Scale and Bias: a small blob that matches axes [axis, axis + its axes) of a large one.

#include <algorithm>
#include <vector>

#include "caffe/layers/axis.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {

/// The shape of a learnt blob that covers num_axes axes of x from `axis` on; -1 is all.
template <typename Dtype>
std::vector<int> covered_shape(const Layer<Dtype>& layer, const Blob<Dtype>& x, int axis,
                               int num_axes) {
  if (num_axes == 0) return {};
  const int begin = axis_of(layer, x, axis);
  CAFFE_CHECK(num_axes >= -1 && num_axes <= x.num_axes() - begin,
              layer.name() << "num_axes is " << num_axes << " from axis " << begin
                           << " on, and the bottom has " << x.num_axes() << " axes (shape "
                           << x.shape_string() << "); -1 means all");
  const int end = num_axes == -1 ? x.num_axes() : begin + num_axes;
  return std::vector<int>(x.shape().begin() + begin, x.shape().begin() + end);
}

/// The channel shape of x when each value of `small` belongs to one channel.
template <typename Dtype>
ChannelShape broadcast(const Layer<Dtype>& layer, const Blob<Dtype>& x, const Blob<Dtype>& small,
                       int axis) {
  if (small.num_axes() == 0) {
    return x.num_axes() == 0 ? ChannelShape{1, 1, 1} : ChannelShape{x.shape(0), 1, x.count(1)};
  }
  const int begin = axis_of(layer, x, axis), end = begin + small.num_axes();
  const bool fits = end <= x.num_axes() && std::equal(small.shape().begin(), small.shape().end(),
                                                      x.shape().begin() + begin);
  CAFFE_CHECK(fits, layer.name() << "a blob of shape " << small.shape_string()
                                 << " does not fit the bottom of shape " << x.shape_string()
                                 << " from axis " << begin << " on");
  return {x.count(0, begin), small.count(), x.count(end)};
}

/// The order in which to work on x: `order` if `shape`, from broadcast(), has one value for each
/// channel of axis 1 or one for all, otherwise the plain one.
template <typename Dtype>
Order order_for(const ChannelShape& shape, const Blob<Dtype>& x, Order order) {
  if (order == Order::kNchw || shape.channels == 1) return order;
  const bool by_channel = shape.outer == x.shape(0) && shape.channels == x.shape(1);
  return by_channel ? order : Order::kNchw;
}

/// The same with the type of the values.
template <typename Dtype>
Format format_for(const ChannelShape& shape, const Blob<Dtype>& x, const Format& format) {
  const Order order = order_for(shape, x, format.order);
  return {order, order == format.order ? format.type : type_of<Dtype>()};
}

/// The same values in that order.
inline ChannelShape in_order(Order order, const ChannelShape& shape) {
  if (order == Order::kNchw || shape.channels == 1) return shape;
  return {shape.outer * shape.inner, shape.channels, 1};
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_BROADCAST_HPP_
