#ifndef CAFFE_LAYERS_CUDNN_SIGMOID_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_SIGMOID_LAYER_HPP_

#include "caffe/layers/sigmoid_layer.hpp"

namespace caffe {

/// SigmoidLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNSigmoidLayer : public SigmoidLayer<Dtype> {
 public:
  explicit CuDNNSigmoidLayer(const LayerParameter& param) : SigmoidLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_SIGMOID_LAYER_HPP_
