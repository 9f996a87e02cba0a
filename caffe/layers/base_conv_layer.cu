#include "caffe/layers/base_conv_layer.hpp"

#include <algorithm>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/conv_axes.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/gpu_workspace.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/plain_terms.hpp"
#include "caffe/util/value_type.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

/// top += bias; a row is a channel of an image.
template <typename T>
struct AddBias {
  Divisor channels;
  const maap::Computed<T>* bias;  // [channels]
  T* top;                         // [images x channels x positions]
  CAFFE_HD void operator()(int row, int i) const { top[i] = top[i] + bias[row % channels]; }
};

template <typename T>
struct AddSum {
  T* bias;  // [channels]
  CAFFE_HD void operator()(int channel, double sum, double) const {
    bias[channel] += static_cast<T>(sum);
  }
};

vector<int> lengths(const Blob<int>& blob, int axes) {
  return vector<int>(blob.cpu_data(), blob.cpu_data() + axes);
}

void assign(const vector<int>& values, Blob<int>* blob) {
  blob->Reshape({static_cast<int>(values.size())});
  std::copy(values.begin(), values.end(), blob->mutable_cpu_data());
}

}  // namespace

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const ConvolutionParameter& param = this->layer_param_.convolution_param();
  force_nd_im2col_ = param.force_nd_im2col();
  channel_axis_ = axis_of(*this, *bottom[0], param.axis());
  num_spatial_axes_ = bottom[0]->num_axes() - channel_axis_ - 1;
  CAFFE_CHECK(num_spatial_axes_ <= kMaxSpatialAxes,
              this->name() << "takes at most " << kMaxSpatialAxes << " spatial axes; the bottom is "
                           << bottom[0]->shape_string());
  read_axes();
  channels_ = bottom[0]->shape(channel_axis_);
  num_output_ = static_cast<int>(param.num_output());
  group_ = static_cast<int>(param.group());
  CAFFE_CHECK(num_output_ > 0, this->name() << "num_output is missing or 0");
  CAFFE_CHECK(group_ > 0 && channels_ % group_ == 0 && num_output_ % group_ == 0,
              this->name() << "channels (" << channels_ << ") and num_output (" << num_output_
                           << ") must be multiples of group (" << group_ << ")");
  conv_out_channels_ = reverse_dimensions() ? channels_ : num_output_;
  conv_in_channels_ = reverse_dimensions() ? num_output_ : channels_;
  bias_term_ = param.bias_term();
  make_weights();
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::read_axes() {
  const ConvAxes axes =
      read_conv_axes(this->name(), this->layer_param_.convolution_param(), num_spatial_axes_);
  assign(axes.kernel, &kernel_shape_);
  assign(axes.stride, &stride_);
  assign(axes.pad, &pad_);
  assign(axes.dilation, &dilation_);
  is_1x1_ = true;
  for (int a = 0; a < num_spatial_axes_; ++a) {
    is_1x1_ = is_1x1_ && kernel_shape_.cpu_data()[a] == 1 && stride_.cpu_data()[a] == 1 &&
              pad_.cpu_data()[a] == 0;
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::make_weights() {
  const ConvolutionParameter& param = this->layer_param_.convolution_param();
  vector<int> shape = {conv_out_channels_, conv_in_channels_ / group_};
  for (const int k : lengths(kernel_shape_, num_spatial_axes_)) shape.push_back(k);
  vector<LearntBlob> wanted = {{"weights", shape, param.weight_filler()}};
  if (bias_term_) wanted.push_back({"bias", {num_output_}, param.bias_filler()});
  make_learnt(*this, wanted, &this->blobs_);
  kernel_dim_ = this->blobs_[0]->count(1);
  weight_offset_ = conv_out_channels_ * kernel_dim_ / group_;
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::check_bottoms(const Blobs& bottom) const {
  const Blob<Dtype>& first = *bottom[0];
  CAFFE_CHECK(first.num_axes() == channel_axis_ + 1 + num_spatial_axes_ &&
                  first.shape(channel_axis_) == channels_,
              this->name() << "was made for " << channels_ << " channels and " << num_spatial_axes_
                           << " spatial axes after axis " << channel_axis_ << "; the bottom is now "
                           << first.shape_string());
  for (size_t i = 1; i < bottom.size(); ++i) {
    CAFFE_CHECK(bottom[i]->shape() == first.shape(),
                this->name() << "all bottoms must have one shape; bottom 0 is "
                             << first.shape_string() << ", bottom " << i << " is "
                             << bottom[i]->shape_string());
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  check_bottoms(bottom);
  num_ = bottom[0]->count(0, channel_axis_);
  bottom_shape_ = &bottom[0]->shape();
  compute_output_shape();
  for (int a = 0; a < num_spatial_axes_; ++a) {
    CAFFE_CHECK(output_shape_[a] >= 1, this->name()
                                           << "spatial axis " << a << " of the bottom, "
                                           << bottom[0]->shape_string() << ", is too short: kernel "
                                           << kernel_shape_.cpu_data()[a] << ", dilation "
                                           << dilation_.cpu_data()[a] << ", pad "
                                           << pad_.cpu_data()[a] << " leave no output");
  }
  vector<int> top_shape(bottom_shape_->begin(), bottom_shape_->begin() + channel_axis_);
  top_shape.push_back(num_output_);
  top_shape.insert(top_shape.end(), output_shape_.begin(), output_shape_.end());
  for (Blob<Dtype>* const blob : top) blob->Reshape(top_shape);
  bottom_dim_ = bottom[0]->count(channel_axis_);
  top_dim_ = top[0]->count(channel_axis_);
  out_spatial_dim_ = top[0]->count(channel_axis_ + 1);
  conv_out_spatial_dim_ =
      reverse_dimensions() ? bottom[0]->count(channel_axis_ + 1) : out_spatial_dim_;
  col_offset_ = kernel_dim_ * conv_out_spatial_dim_;
  output_offset_ = conv_out_channels_ * conv_out_spatial_dim_ / group_;
  set_geometry();
  if (!is_1x1_) col_buffer_.Reshape(col_buffer_shape_);
  if (bias_term_ && bias_multiplier_.count() != out_spatial_dim_) {
    bias_multiplier_.Reshape({out_spatial_dim_});
    caffe_set(out_spatial_dim_, Dtype(1), bias_multiplier_.mutable_cpu_data());
  }
}

/// The parameters of im2col; a convolution without spatial axes gets one of length 1.
template <typename Dtype>
void BaseConvolutionLayer<Dtype>::set_geometry() {
  const bool reverse = reverse_dimensions();
  ConvGeometry& g = geometry_;
  g.axes = std::max(num_spatial_axes_, 1);
  g.channels = conv_in_channels_;
  conv_input_shape_.Reshape({num_spatial_axes_ + 1});
  conv_input_shape_.mutable_cpu_data()[0] = conv_in_channels_;
  col_buffer_shape_.assign(1, kernel_dim_ * group_);
  g.image[0] = g.output[0] = 1;
  for (int a = 0; a < num_spatial_axes_; ++a) {
    g.image[a] = reverse ? output_shape_[a] : input_shape(a + 1);
    g.output[a] = reverse ? input_shape(a + 1) : output_shape_[a];
    conv_input_shape_.mutable_cpu_data()[a + 1] = g.image[a];
    col_buffer_shape_.push_back(g.output[a]);
  }
  for (int a = 0; a < g.axes; ++a) {
    g.kernel[a] = kernel_shape_.cpu_data()[a];
    g.stride[a] = stride_.cpu_data()[a];
    g.pad[a] = pad_.cpu_data()[a];
    g.dilation[a] = dilation_.cpu_data()[a];
  }
}

/// Room for one image's columns.
template <typename Dtype>
Dtype* BaseConvolutionLayer<Dtype>::columns() {
  if (current_device() == Device::kCPU) return col_buffer_.mutable_cpu_data();
  return static_cast<Dtype*>(device::workspace(sizeof(Dtype) * col_buffer_.count()));
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::forward_gemm(const Dtype* input, const Dtype* weights,
                                               Dtype* output, bool skip_im2col) {
  Dtype* const made = is_1x1_ ? nullptr : columns();
  if (!is_1x1_ && !skip_im2col) im2col(geometry_, input, made);
  const Dtype* const columns = is_1x1_ ? input : made;
  for (int g = 0; g < group_; ++g) {
    caffe_gemm(CblasNoTrans, CblasNoTrans, conv_out_channels_ / group_, conv_out_spatial_dim_,
               kernel_dim_, Dtype(1), weights + weight_offset_ * g, columns + col_offset_ * g,
               Dtype(0), output + output_offset_ * g);
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::backward_gemm(const Dtype* output, const Dtype* weights,
                                                Dtype* input) {
  Dtype* const columns = is_1x1_ ? input : this->columns();
  for (int g = 0; g < group_; ++g) {
    caffe_gemm(CblasTrans, CblasNoTrans, kernel_dim_, conv_out_spatial_dim_,
               conv_out_channels_ / group_, Dtype(1), weights + weight_offset_ * g,
               output + output_offset_ * g, Dtype(0), columns + col_offset_ * g);
  }
  if (!is_1x1_) col2im(geometry_, columns, input);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::weight_gemm(const Dtype* input, const Dtype* output,
                                              Dtype* weights) {
  Dtype* const made = is_1x1_ ? nullptr : columns();
  if (!is_1x1_) im2col(geometry_, input, made);
  const Dtype* const columns = is_1x1_ ? input : made;
  for (int g = 0; g < group_; ++g) {
    caffe_gemm(CblasNoTrans, CblasTrans, conv_out_channels_ / group_, kernel_dim_,
               conv_out_spatial_dim_, Dtype(1), output + output_offset_ * g,
               columns + col_offset_ * g, Dtype(1), weights + weight_offset_ * g);
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::forward_bias(Dtype* top, const Dtype* bias) {
  parallel_planes(num_output_, out_spatial_dim_, AddBias<Dtype>{num_output_, bias, top});
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::backward_bias(Dtype* bias, const Dtype* top_diff) {
  caffe_gemv(CblasNoTrans, num_output_, out_spatial_dim_, Dtype(1), top_diff,
             bias_multiplier_.active_data(), Dtype(1), bias);
}

template <typename Dtype>
ChannelShape BaseConvolutionLayer<Dtype>::top_channels(bool channels_last) const {
  if (channels_last) return ChannelShape{num_ * out_spatial_dim_, num_output_, 1};
  return ChannelShape{num_, num_output_, out_spatial_dim_};
}

template <typename Dtype>
template <typename T>
void BaseConvolutionLayer<Dtype>::forward_bias_of_all(T* top, const Dtype* bias,
                                                      bool channels_last) {
  const ChannelShape shape = top_channels(channels_last);
  parallel_planes(shape.rows(), shape.inner, AddBias<T>{num_output_, bias, top});
}

template <typename Dtype>
template <typename T>
void BaseConvolutionLayer<Dtype>::backward_bias_of_all(Dtype* bias, const T* top_diff,
                                                       bool channels_last) {
  channel_sums(top_channels(channels_last), PlainTerms<T>{top_diff}, &bias_sums_,
               AddSum<Dtype>{bias});
}

#define INSTANTIATE_BIAS(Dtype, T)                                                        \
  template void BaseConvolutionLayer<Dtype>::forward_bias_of_all(T*, const Dtype*, bool); \
  template void BaseConvolutionLayer<Dtype>::backward_bias_of_all(Dtype*, const T*, bool)
INSTANTIATE_BIAS(float, float);
INSTANTIATE_BIAS(float, Float16);
INSTANTIATE_BIAS(float, Bfloat16);
INSTANTIATE_BIAS(double, double);

INSTANTIATE_CLASS(BaseConvolutionLayer);

}  // namespace caffe
