#ifndef CAFFE_UTIL_CHANNEL_SHAPE_HPP_
#define CAFFE_UTIL_CHANNEL_SHAPE_HPP_

namespace caffe {

/// How an array is cut: value (o, c, i) stands at (o channels + c) inner + i.
struct ChannelShape {
  int outer, channels, inner;
  int rows() const { return outer * channels; }
  /// Values of one channel.
  double per_channel() const { return static_cast<double>(outer) * inner; }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_SHAPE_HPP_
