#ifndef CAFFE_LAYERS_LOG_LAYER_HPP_
#define CAFFE_LAYERS_LOG_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y = log_base(shift + scale x); base is e unless given; it must be above 0 and not 1. In place,
/// Backward throws: it needs x.
template <typename Dtype>
class LogLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Log"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Dtype factor_ = 1;  // 1 / ln(base)
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_LOG_LAYER_HPP_
