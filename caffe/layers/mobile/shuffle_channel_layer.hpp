#ifndef CAFFE_LAYERS_MOBILE_SHUFFLE_CHANNEL_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_SHUFFLE_CHANNEL_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// ShuffleNet's shuffle: the C channels (axis 1), seen as `group` rows of C / group, are
/// transposed. Channel j group + i of the top is channel i (C / group) + j of the bottom. The top
/// has the bottom's shape. Not in place.
template <typename Dtype>
class ShuffleChannelLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ShuffleChannel"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int group_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_SHUFFLE_CHANNEL_LAYER_HPP_
