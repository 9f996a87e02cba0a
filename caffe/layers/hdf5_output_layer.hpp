#ifndef CAFFE_LAYERS_HDF5_OUTPUT_LAYER_HPP_
#define CAFFE_LAYERS_HDF5_OUTPUT_LAYER_HPP_

#include <memory>
#include <string>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/util/hdf5.hpp"

namespace caffe {

#define HDF5_DATA_DATASET_NAME "data"
#define HDF5_DATA_LABEL_NAME "label"

/// Writes its bottoms to the datasets "data" and "label" of a new HDF5 file, replacing an existing
/// one; each batch is appended to the rows before it. The file is complete after each Forward.
template <typename Dtype>
class HDF5OutputLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit HDF5OutputLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    (void)bottom;
    (void)top;
  }
  const char* type() const override { return "HDF5Output"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 0; }
  string file_name() const { return file_name_; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    (void)top;
    (void)propagate_down;
    (void)bottom;
  }

 private:
  void append(const char* name, const Blob<Dtype>& blob);

  string file_name_;
  std::unique_ptr<Hdf5File> file_;
  hsize_t rows_ = 0;  // written so far
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_HDF5_OUTPUT_LAYER_HPP_
