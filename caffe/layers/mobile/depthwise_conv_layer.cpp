#include "caffe/layers/mobile/depthwise_conv_layer.hpp"

namespace caffe {

INSTANTIATE_CLASS(DepthwiseConvolutionLayer);
REGISTER_LAYER_CLASS(DepthwiseConvolution);

}  // namespace caffe
