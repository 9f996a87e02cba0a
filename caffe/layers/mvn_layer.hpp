#ifndef CAFFE_LAYERS_MVN_LAYER_HPP_
#define CAFFE_LAYERS_MVN_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/channel_shape.hpp"

namespace caffe {

/// Subtracts its mean from each plane (a channel of an item) or, with across_channels, from each
/// item; with normalize_variance also divides by (its standard deviation + eps). May work in place.
template <typename Dtype>
class MVNLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "MVN"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  ChannelShape shape(const Blob<Dtype>& x) const;

  // [planes]; y = (x - mean) factor
  Blob<Dtype> mean_, variance_, factor_;
  Blob<Dtype> slope_;  // see normalise_backward
  Blob<Dtype> means_;  // memory of normalise_backward
  Blob<double> sums_;  // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MVN_LAYER_HPP_
