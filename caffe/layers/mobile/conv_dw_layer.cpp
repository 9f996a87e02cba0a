#include "caffe/layers/mobile/conv_dw_layer.hpp"

#include "caffe/layers/axis.hpp"

namespace caffe {

template <typename Dtype>
void ConvolutionDepthwiseLayer<Dtype>::change(const Blobs& bottom,
                                              ConvolutionParameter* param) const {
  const int channels = bottom[0]->shape(axis_of(*this, *bottom[0], param->axis()));
  CAFFE_CHECK(channels > 0, this->name() << "the bottom has no channels; its shape is "
                                         << bottom[0]->shape_string());
  param->set_num_output(channels);
  param->set_group(channels);
}

INSTANTIATE_CLASS(ConvolutionDepthwiseLayer);
REGISTER_LAYER_CLASS(ConvolutionDepthwise);

}  // namespace caffe
