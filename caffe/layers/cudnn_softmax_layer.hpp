#ifndef CAFFE_LAYERS_CUDNN_SOFTMAX_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_SOFTMAX_LAYER_HPP_

#include "caffe/layers/softmax_layer.hpp"

namespace caffe {

/// SoftmaxLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNSoftmaxLayer : public SoftmaxLayer<Dtype> {
 public:
  explicit CuDNNSoftmaxLayer(const LayerParameter& param) : SoftmaxLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_SOFTMAX_LAYER_HPP_
