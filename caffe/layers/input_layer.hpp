#ifndef CAFFE_INPUT_LAYER_HPP_
#define CAFFE_INPUT_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// Blobs that the program fills and may reshape: the net's inputs. input_param has one shape for
/// all tops, one for each, or none, and then the program gives them.
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

#endif  // CAFFE_INPUT_LAYER_HPP_
