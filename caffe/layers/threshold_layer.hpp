#ifndef CAFFE_LAYERS_THRESHOLD_LAYER_HPP_
#define CAFFE_LAYERS_THRESHOLD_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = 1 where x > threshold, else 0. A step has no gradient: Backward throws if one is requested.
/// May work in place.
template <typename Dtype>
class ThresholdLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  const char* type() const override { return "Threshold"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_THRESHOLD_LAYER_HPP_
