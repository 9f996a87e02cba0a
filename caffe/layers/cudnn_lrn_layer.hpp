#ifndef CAFFE_LAYERS_CUDNN_LRN_LAYER_HPP_
#define CAFFE_LAYERS_CUDNN_LRN_LAYER_HPP_

#include "caffe/layers/lrn_layer.hpp"

namespace caffe {

/// LRNLayer under the name of BVLC Caffe's class for cuDNN, for programs that use
/// it. Which library computes is a layer's field `engine`: caffe/layers/engine_choice.hpp.
template <typename Dtype>
class CuDNNLRNLayer : public LRNLayer<Dtype> {
 public:
  explicit CuDNNLRNLayer(const LayerParameter& param) : LRNLayer<Dtype>(param) {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_LRN_LAYER_HPP_
