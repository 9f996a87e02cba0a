#ifndef CAFFE_LAYERS_NEURON_LAYER_HPP_
#define CAFFE_LAYERS_NEURON_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// A layer that works element by element: one bottom, one top of the same shape.
template <typename Dtype>
class NeuronLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit NeuronLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_NEURON_LAYER_HPP_
