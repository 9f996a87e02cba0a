#ifndef CAFFE_LAYERS_INPUT_LAYER_HPP_
#define CAFFE_LAYERS_INPUT_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// The net's inputs: blobs that the program fills and may reshape. input_param has one shape for
/// all tops, one per top, or none; in the last case the program sets the shapes.
template <typename Dtype>
class InputLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit InputLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs&, const Blobs&) override {}
  const char* type() const override { return "Input"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs&, const Blobs&) override {}
  void Backward_cpu(const Blobs&, const std::vector<bool>&, const Blobs&) override {}
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_INPUT_LAYER_HPP_
