#ifndef CAFFE_LAYERS_RESHAPE_LAYER_HPP_
#define CAFFE_LAYERS_RESHAPE_LAYER_HPP_

#include <utility>
#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// The same values in another shape. reshape_param.shape replaces the axes [axis, axis + num_axes):
/// a dim of 0 takes the bottom's length of that axis; one dim may be -1 and takes the remaining
/// count. Data and gradient share the bottom's memory.
template <typename Dtype>
class ReshapeLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit ReshapeLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Reshape"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs&, const Blobs&) override {}
  void Backward_cpu(const Blobs&, const std::vector<bool>&, const Blobs&) override {}

 private:
  std::pair<int, int> replaced(const Blob<Dtype>& bottom) const;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_RESHAPE_LAYER_HPP_
