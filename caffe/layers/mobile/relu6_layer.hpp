#ifndef CAFFE_LAYERS_MOBILE_RELU6_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_RELU6_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = min(max(x, 0) + negative_slope min(x, 0), threshold), where threshold is 6 unless given; NaN
/// stays NaN. The gradient is dy for 0 < x < threshold, negative_slope dy for x <= 0, else 0. May
/// work in place for negative_slope >= 0: then y tells which of the three x was.
template <typename Dtype>
class ReLU6Layer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ReLU6"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_RELU6_LAYER_HPP_
