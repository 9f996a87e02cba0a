#ifndef CAFFE_LAYERS_HDF5_DATA_LAYER_HPP_
#define CAFFE_LAYERS_HDF5_DATA_LAYER_HPP_

#include <hdf5.h>

#include <string>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

/// Rows of datasets in HDF5 files: each top takes the dataset of its name (tops that a program adds
/// without naming them in the parameters stay as they are). `source` lists the files, one per line.
/// Repeats them endlessly, with one whole file in memory at a time; `shuffle` puts the files, and
/// the rows of each, in a new random order every time. While several solvers train, solver r of n
/// takes every n-th row, starting with the r-th. transform_param is an error.
template <typename Dtype>
class HDF5DataLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit HDF5DataLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    (void)bottom;
    (void)top;
  }
  const char* type() const override { return "HDF5Data"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    (void)top;
    (void)propagate_down;
    (void)bottom;
  }
  void Next();
  /// Whether the row belongs to a different solver.
  bool Skip() const;
  /// Loads the datasets into hdf_blobs_ and sets the order of their rows.
  virtual void LoadHDF5FileData(const char* filename);

  vector<string> hdf_filenames_;
  size_t current_file_ = 0;
  size_t current_row_ = 0;
  vector<shared_ptr<Blob<Dtype>>> hdf_blobs_;
  vector<unsigned int> data_permutation_;
  vector<unsigned int> file_permutation_;
  uint64_t offset_ = 0;

 private:
  void read_list();
  void load_file();
  void restart_file();

  rng_t random_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_HDF5_DATA_LAYER_HPP_
