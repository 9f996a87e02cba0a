#ifndef CAFFE_LAYERS_CUDNN_TANH_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_TANH_LAYER_HPP_

#include "caffe/layers/tanh_layer.hpp"

namespace caffe {

/// TanHLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNTanHLayer : public TanHLayer<Dtype> {
 public:
  explicit CuDNNTanHLayer(const LayerParameter& param) : TanHLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_TANH_LAYER_HPP_
