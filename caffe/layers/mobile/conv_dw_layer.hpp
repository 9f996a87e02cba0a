#ifndef CAFFE_LAYERS_MOBILE_CONV_DW_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_CONV_DW_LAYER_HPP_

#include "caffe/layers/mobile/inner_convolution.hpp"

namespace caffe {

/// ConvolutionDepthwise (pull request 5665 of BVLC Caffe, MobileNet): each channel is convolved
/// with a window of its own.
///   bottom[i]  N x C x H x W
///   top[i]     N x C x H' x W', lengths as of a Convolution
///   blobs[0]   weights, C x 1 x kernel; blobs[1], with bias_term: biases, C
/// The same as a Convolution whose num_output and group are C, and its weights are exchangeable
/// with that one's; num_output and group of convolution_param are not read. stride is 1 and pad 0
/// if not given.
template <typename Dtype>
class ConvolutionDepthwiseLayer : public InnerConvolutionLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using InnerConvolutionLayer<Dtype>::InnerConvolutionLayer;
  const char* type() const override { return "ConvolutionDepthwise"; }

 protected:
  void change(const Blobs& bottom, ConvolutionParameter* param) const override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_CONV_DW_LAYER_HPP_
