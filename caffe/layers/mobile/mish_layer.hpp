#ifndef CAFFE_LAYERS_MOBILE_MISH_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_MISH_LAYER_HPP_

#include <vector>

#include "caffe/layers/mobile/keeps_input.hpp"

namespace caffe {

/// y = x tanh(log(1 + exp(x))). May work in place, at the cost of a copy of x.
template <typename Dtype>
class MishLayer : public KeepsInput<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using KeepsInput<Dtype>::KeepsInput;
  const char* type() const override { return "Mish"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_MISH_LAYER_HPP_
