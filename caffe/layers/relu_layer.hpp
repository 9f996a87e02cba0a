#ifndef CAFFE_LAYERS_RELU_LAYER_HPP_
#define CAFFE_LAYERS_RELU_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = x for x > 0, negative_slope x otherwise. May work in place for negative_slope >= 0, which
/// keeps the sign that backward needs.
template <typename Dtype>
class ReLULayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ReLU"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

/// Whether the layer is a ReLU whose negative_slope is 0.
template <typename Dtype>
bool is_plain_relu(const Layer<Dtype>& layer) {
  return dynamic_cast<const ReLULayer<Dtype>*>(&layer) != nullptr &&
         layer.layer_param().relu_param().negative_slope() == 0;
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_RELU_LAYER_HPP_
