#ifndef CAFFE_LAYERS_BNLL_LAYER_HPP_
#define CAFFE_LAYERS_BNLL_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = log(1 + exp(x)), the negative log likelihood of a binomial. May work in place.
template <typename Dtype>
class BNLLLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  const char* type() const override { return "BNLL"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BNLL_LAYER_HPP_
