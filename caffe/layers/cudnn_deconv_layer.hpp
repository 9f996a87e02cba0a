#ifndef CAFFE_LAYERS_CUDNN_DECONV_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_DECONV_LAYER_HPP_

#include "caffe/layers/deconv_layer.hpp"

namespace caffe {

/// DeconvolutionLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNDeconvolutionLayer : public DeconvolutionLayer<Dtype> {
 public:
  explicit CuDNNDeconvolutionLayer(const LayerParameter& param)
      : DeconvolutionLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_DECONV_LAYER_HPP_
