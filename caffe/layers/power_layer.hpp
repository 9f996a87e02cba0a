#ifndef CAFFE_LAYERS_POWER_LAYER_HPP_
#define CAFFE_LAYERS_POWER_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = (shift + scale x)^power. In place, Backward throws unless power is 0 or 1 (or scale is 0):
/// any other gradient needs x.
template <typename Dtype>
class PowerLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  const char* type() const override { return "Power"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_POWER_LAYER_HPP_
