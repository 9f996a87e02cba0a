#ifndef CAFFE_LAYERS_CUDNN_RELU_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_RELU_LAYER_HPP_

#include "caffe/layers/relu_layer.hpp"

namespace caffe {

/// ReLULayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNReLULayer : public ReLULayer<Dtype> {
 public:
  explicit CuDNNReLULayer(const LayerParameter& param) : ReLULayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_RELU_LAYER_HPP_
