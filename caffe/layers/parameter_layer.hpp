#ifndef CAFFE_LAYERS_PARAMETER_LAYER_HPP_
#define CAFFE_LAYERS_PARAMETER_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The top is a learnt blob of parameter_param.shape, initially 0. It is a copy: a later layer may
/// work on it in place.
template <typename Dtype>
class ParameterLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Parameter"; }
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_PARAMETER_LAYER_HPP_
