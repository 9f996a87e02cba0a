#ifndef CAFFE_LAYERS_CUDNN_CONV_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_CONV_LAYER_HPP_

#include "caffe/layers/conv_layer.hpp"

namespace caffe {

/// ConvolutionLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNConvolutionLayer : public ConvolutionLayer<Dtype> {
 public:
  explicit CuDNNConvolutionLayer(const LayerParameter& param) : ConvolutionLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_CONV_LAYER_HPP_
