#ifndef CAFFE_LAYERS_DUMMY_DATA_LAYER_HPP_
#define CAFFE_LAYERS_DUMMY_DATA_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layer.hpp"

namespace caffe {

/// Tops that fillers make: constant ones once, at set-up, others anew in every forward pass. There
/// are one shape and one data_filler for all tops, or one for each; without a filler all is 0.
/// num, channels, height and width are the old form of shape.
template <typename Dtype>
class DummyDataLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit DummyDataLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs&, const Blobs&) override {}  // the shapes are the parameters'
  const char* type() const override { return "DummyData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs&, const std::vector<bool>&, const Blobs&) override {}

 private:
  std::vector<BlobShape> shapes(int tops) const;

  std::vector<FillerParameter> fillers_;  // one a top
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DUMMY_DATA_LAYER_HPP_
