#ifndef CAFFE_LAYERS_MOBILE_HARD_SWISH_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_HARD_SWISH_LAYER_HPP_

#include <vector>

#include "caffe/layers/mobile/keeps_input.hpp"

namespace caffe {

/// y = x min(max(x + 3, 0), 6) / 6. The gradient is 0 for x < -3, 1 for x > 3, (2 x + 3) / 6
/// between. May work in place, at the cost of a copy of x.
template <typename Dtype>
class HardSwishLayer : public KeepsInput<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using KeepsInput<Dtype>::KeepsInput;
  const char* type() const override { return "HardSwish"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

/// HardSwish under the name that another fork gives it.
template <typename Dtype>
class HSwishLayer : public HardSwishLayer<Dtype> {
 public:
  using HardSwishLayer<Dtype>::HardSwishLayer;
  const char* type() const override { return "HSwish"; }
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_HARD_SWISH_LAYER_HPP_
