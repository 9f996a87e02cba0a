#ifndef CAFFE_LAYERS_CLIP_LAYER_HPP_
#define CAFFE_LAYERS_CLIP_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = x limited to [min, max]; NaN stays NaN. The gradient is dy where x is in [min, max], ends
/// included, and 0 elsewhere. In place, Backward throws: the information which values were clipped
/// is lost.
template <typename Dtype>
class ClipLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Clip"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CLIP_LAYER_HPP_
