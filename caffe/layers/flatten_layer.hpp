#ifndef CAFFE_LAYERS_FLATTEN_LAYER_HPP_
#define CAFFE_LAYERS_FLATTEN_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// The same values with axes [axis, end_axis] merged into one. Data and gradient share the bottom's
/// memory.
template <typename Dtype>
class FlattenLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit FlattenLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Flatten"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs&, const Blobs&) override {}
  void Backward_cpu(const Blobs&, const std::vector<bool>&, const Blobs&) override {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_FLATTEN_LAYER_HPP_
