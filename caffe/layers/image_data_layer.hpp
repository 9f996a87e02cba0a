#ifndef CAFFE_LAYERS_IMAGE_DATA_LAYER_HPP_
#define CAFFE_LAYERS_IMAGE_DATA_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"
#include "caffe/util/io_image.hpp"

namespace caffe {

/// Images from files: each line of `source` has a file's path relative to root_folder, a space and
/// a label. Repeats the list endlessly, each time in a new random order with `shuffle`. new_height
/// and new_width resize the images. While several solvers train, solver r of n takes every n-th
/// image, starting with the r-th.
template <typename Dtype>
class ImageDataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using BasePrefetchingDataLayer<Dtype>::BasePrefetchingDataLayer;
  ~ImageDataLayer() override;
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ImageData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 2; }

 protected:
  virtual void ShuffleImages();
  void load_batch(Batch<Dtype>* batch) override;

  shared_ptr<Caffe::RNG> prefetch_rng_;
  vector<ImageLine> lines_;
  size_t lines_id_ = 0;

 private:
  void Next();
  Pixels read(const ImageLine& line) const;
  string name_of(const ImageLine& line) const;

  vector<ImageLine> records_;  // of the current batch
  uint64_t offset_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_IMAGE_DATA_LAYER_HPP_
