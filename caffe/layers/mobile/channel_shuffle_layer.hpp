#ifndef CAFFE_LAYERS_MOBILE_CHANNEL_SHUFFLE_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_CHANNEL_SHUFFLE_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// HolmesShuan's shuffle for ShuffleNet, of N x C x ... .
///   shuffle_pattern 1  the C channels, in blocks of shuffle_channel_num, are seen as `group` rows
///                      of blocks and transposed (as ShuffleChannel does with blocks of one)
///   shuffle_pattern 0  the values of an image go from C x (H W) to (H W) x C, while the shape
///                      stays
/// The top has the bottom's shape. Not in place.
template <typename Dtype>
class ChannelShuffleLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ChannelShuffle"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int rows_ = 1, columns_ = 1, length_ = 1;  // of the transposition of each image
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_CHANNEL_SHUFFLE_LAYER_HPP_
