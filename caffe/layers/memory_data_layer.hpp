#ifndef CAFFE_LAYERS_MEMORY_DATA_LAYER_HPP_
#define CAFFE_LAYERS_MEMORY_DATA_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"
#include "caffe/util/upload.hpp"

namespace caffe {

/// Data and labels that the program provides: its own arrays through Reset, or images, which are
/// transformed, through AddDatumVector or AddMatVector. Batches repeat them endlessly, but added
/// images must all be used before others can be added or the batch size can change.
template <typename Dtype>
class MemoryDataLayer : public BaseDataLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using BaseDataLayer<Dtype>::BaseDataLayer;
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "MemoryData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 2; }

  /// Their number must be a multiple of the batch size.
  virtual void AddDatumVector(const vector<Datum>& datum_vector);
  virtual void AddMatVector(const vector<cv::Mat>& mat_vector, const vector<int>& labels);

  /// Uses the caller's n x channels x height x width values and n labels without a copy; they must
  /// exist until the next Reset or as long as the layer. n must be a multiple of the batch size.
  void Reset(Dtype* data, Dtype* label, int n);
  /// The same for arrays whose ownership the layer and its tops share while they use them.
  void Reset(const shared_ptr<Dtype>& data, const shared_ptr<Dtype>& label, int n);
  void set_batch_size(int new_size);

  int batch_size() { return batch_size_; }
  int channels() { return channels_; }
  int height() { return height_; }
  int width() { return width_; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override;

  int batch_size_ = 0, channels_ = 0, height_ = 0, width_ = 0, size_ = 0;
  shared_ptr<Dtype> data_;
  shared_ptr<Dtype> labels_;
  int n_ = 0;
  size_t pos_ = 0;
  Blob<Dtype> added_data_;
  Blob<Dtype> added_label_;
  bool has_new_data_ = false;

 private:
  template <typename Image>
  void add(const vector<Image>& images, const vector<int>& labels);

  // For a GPU, the program's arrays, which it may change after Forward, are copied aside. By turns:
  // one is filled while the GPU computes with the other.
  Upload uploads_[2];
  int turn_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MEMORY_DATA_LAYER_HPP_
