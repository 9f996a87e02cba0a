#ifndef CAFFE_LAYERS_SWISH_LAYER_HPP_
#define CAFFE_LAYERS_SWISH_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/sigmoid_layer.hpp"

namespace caffe {

/// y = x sigmoid(beta x) (Ramachandran, Zoph and Le 2017). May work in place, at the cost of a copy
/// of the sigmoids.
template <typename Dtype>
class SwishLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Swish"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Blob<Dtype> sigmoid_;  // if the layer works in place
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SWISH_LAYER_HPP_
