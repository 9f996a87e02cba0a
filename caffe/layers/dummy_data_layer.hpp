#ifndef CAFFE_LAYERS_DUMMY_DATA_LAYER_HPP_
#define CAFFE_LAYERS_DUMMY_DATA_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layer.hpp"

namespace caffe {

/// Tops filled by fillers: constant fillers run once, at set-up, the others in every forward pass.
/// The shape and the data_filler are given once for all tops or once per top; without a filler all
/// values are 0. num, channels, height and width are the old form of shape.
template <typename Dtype>
class DummyDataLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit DummyDataLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs&, const Blobs&) override {}  // the parameters fix the shapes
  const char* type() const override { return "DummyData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs&, const std::vector<bool>&, const Blobs&) override {}

 private:
  std::vector<BlobShape> shapes(int tops) const;

  std::vector<FillerParameter> fillers_;  // one per top
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DUMMY_DATA_LAYER_HPP_
