#ifndef CAFFE_LAYERS_EXP_LAYER_HPP_
#define CAFFE_LAYERS_EXP_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = base^(shift + scale x); base is e unless given, and must be above 0. May work in place:
/// backward needs only y.
template <typename Dtype>
class ExpLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Exp"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Dtype inner_ = 1;  // y = outer exp(inner x)
  Dtype outer_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_EXP_LAYER_HPP_
