#include "caffe/layers/im2col_layer.hpp"

#include <algorithm>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/conv_axes.hpp"
#include "caffe/layers/in_place.hpp"

namespace caffe {

template <typename Dtype>
void Im2colLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const ConvolutionParameter& param = this->layer_param_.convolution_param();
  channel_axis_ = axis_of(*this, *bottom[0], param.axis());
  ConvGeometry& g = geometry_;
  g.axes = bottom[0]->num_axes() - channel_axis_ - 1;
  CAFFE_CHECK(g.axes >= 1 && g.axes <= kMaxSpatialAxes,
              this->name() << "takes 1 to " << kMaxSpatialAxes << " spatial axes after axis "
                           << channel_axis_ << "; the bottom is " << bottom[0]->shape_string());
  const ConvAxes axes = read_conv_axes(this->name(), param, g.axes);
  std::copy_n(axes.kernel.begin(), g.axes, g.kernel);
  std::copy_n(axes.stride.begin(), g.axes, g.stride);
  std::copy_n(axes.pad.begin(), g.axes, g.pad);
  std::copy_n(axes.dilation.begin(), g.axes, g.dilation);
}

template <typename Dtype>
void Im2colLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  ConvGeometry& g = geometry_;
  const std::vector<int>& shape = bottom[0]->shape();
  CAFFE_CHECK(bottom[0]->num_axes() == channel_axis_ + 1 + g.axes,
              this->name() << "was made for " << g.axes << " spatial axes after axis "
                           << channel_axis_ << "; the bottom is now " << bottom[0]->shape_string());
  g.channels = shape[channel_axis_];
  images_ = bottom[0]->count(0, channel_axis_);
  std::vector<int> columns(shape.begin(), shape.begin() + channel_axis_);
  int64_t rows = g.channels;
  for (int a = 0; a < g.axes; ++a) {
    rows *= g.kernel[a];
    CAFFE_CHECK(rows <= INT_MAX, this->name() << "kernel_size is too large: the top would have "
                                              << rows << " channels or more");
  }
  columns.push_back(static_cast<int>(rows));
  for (int a = 0; a < g.axes; ++a) {
    g.image[a] = shape[channel_axis_ + 1 + a];
    g.output[a] = conv_output_size(g.image[a], g.kernel[a], g.pad[a], g.stride[a], g.dilation[a]);
    CAFFE_CHECK(g.output[a] >= 1, this->name()
                                      << "spatial axis " << a << " of the bottom, "
                                      << bottom[0]->shape_string() << ", is too short: kernel "
                                      << g.kernel[a] << ", dilation " << g.dilation[a] << ", pad "
                                      << g.pad[a] << " leave no output");
    columns.push_back(g.output[a]);
  }
  top[0]->Reshape(columns);
}

template <typename Dtype>
void Im2colLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Dtype* const x = bottom[0]->active_data();
  Dtype* const y = top[0]->mutable_active_data();
  const int image = bottom[0]->count(channel_axis_), columns = top[0]->count(channel_axis_);
  for (int n = 0; n < images_; ++n) im2col(geometry_, x + n * image, y + n * columns);
}

template <typename Dtype>
void Im2colLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* const dy = top[0]->active_diff();
  Dtype* const dx = bottom[0]->mutable_active_diff();
  const int image = bottom[0]->count(channel_axis_), columns = top[0]->count(channel_axis_);
  for (int n = 0; n < images_; ++n) col2im(geometry_, dy + n * columns, dx + n * image);
}

INSTANTIATE_CLASS(Im2colLayer);
REGISTER_LAYER_CLASS(Im2col);

}  // namespace caffe
