#ifndef CAFFE_LAYERS_PRELU_LAYER_HPP_
#define CAFFE_LAYERS_PRELU_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

/// y = x for x > 0, a x otherwise; a is learnt, one value per channel (axis 1), or one for all with
/// channel_shared. May work in place, at the cost of a copy of x.
template <typename Dtype>
class PReLULayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "PReLU"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  ChannelShape shape(Order order, const Blob<Dtype>& x) const;

  Blob<Dtype> input_;  // a copy of x, if the layer works in place
  Blob<double> sums_;  // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_PRELU_LAYER_HPP_
