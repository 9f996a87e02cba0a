#ifndef CAFFE_LAYERS_ABSVAL_LAYER_HPP_
#define CAFFE_LAYERS_ABSVAL_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = |x|. In place, Backward throws: the sign is lost.
template <typename Dtype>
class AbsValLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  const char* type() const override { return "AbsVal"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_ABSVAL_LAYER_HPP_
