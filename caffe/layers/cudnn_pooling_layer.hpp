#ifndef CAFFE_LAYERS_CUDNN_POOLING_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_POOLING_LAYER_HPP_

#include "caffe/layers/pooling_layer.hpp"

namespace caffe {

/// PoolingLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNPoolingLayer : public PoolingLayer<Dtype> {
 public:
  explicit CuDNNPoolingLayer(const LayerParameter& param) : PoolingLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_POOLING_LAYER_HPP_
