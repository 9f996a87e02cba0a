#ifndef CAFFE_UTIL_CHANNEL_SHAPE_HPP_
#define CAFFE_UTIL_CHANNEL_SHAPE_HPP_

namespace caffe {

/// How an array is divided into channels: value (o, c, i) has index (o channels + c) inner + i.
struct ChannelShape {
  int outer, channels, inner;
  int rows() const { return outer * channels; }
  /// The number of values per channel.
  double per_channel() const { return static_cast<double>(outer) * inner; }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_SHAPE_HPP_
