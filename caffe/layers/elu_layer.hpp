#ifndef CAFFE_LAYERS_ELU_LAYER_HPP_
#define CAFFE_LAYERS_ELU_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = x for x > 0, alpha (exp(x) - 1) otherwise. May work in place for alpha >= 0, which keeps the
/// sign that backward needs.
template <typename Dtype>
class ELULayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ELU"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_ELU_LAYER_HPP_
