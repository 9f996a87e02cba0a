#ifndef CAFFE_LAYERS_MOBILE_DEPTHWISE_CONV_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_DEPTHWISE_CONV_LAYER_HPP_

#include "caffe/layers/mobile/inner_convolution.hpp"

namespace caffe {

/// DepthwiseConvolution (yonghenglh6, MobileNet-YOLO): a Convolution under another name, with all
/// its parameters, group and dilation among them, on the CPU and on a GPU.
template <typename Dtype>
class DepthwiseConvolutionLayer : public InnerConvolutionLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using InnerConvolutionLayer<Dtype>::InnerConvolutionLayer;
  const char* type() const override { return "DepthwiseConvolution"; }

 protected:
  void change(const Blobs&, ConvolutionParameter*) const override {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_DEPTHWISE_CONV_LAYER_HPP_
