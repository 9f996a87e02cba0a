#include "caffe/layers/hdf5_output_layer.hpp"

#include "caffe/net_error.hpp"

namespace caffe {

namespace {

hid_t native_type(float) {
  return H5T_NATIVE_FLOAT;
}
hid_t native_type(double) {
  return H5T_NATIVE_DOUBLE;
}

/// Creates a dataset of that shape whose first axis may grow.
hid_t make_dataset(hid_t file, const char* name, hid_t type, vector<hsize_t> lengths) {
  vector<hsize_t> most = lengths;
  most[0] = H5S_UNLIMITED;
  const hid_t space =
      H5Screate_simple(static_cast<int>(lengths.size()), lengths.data(), most.data());
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(list, static_cast<int>(lengths.size()), lengths.data());
  const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  H5Pclose(list);
  H5Sclose(space);
  return dataset;
}

/// Writes the rows [first, first + lengths[0]) of a dataset, which then ends with them.
bool write_rows(hid_t dataset, hid_t type, hsize_t first, const vector<hsize_t>& lengths,
                const void* values) {
  vector<hsize_t> all = lengths, start(lengths.size(), 0);
  all[0] += first;
  start[0] = first;
  if (H5Dset_extent(dataset, all.data()) < 0) return false;
  const hid_t in_file = H5Dget_space(dataset);
  const hid_t in_memory =
      H5Screate_simple(static_cast<int>(lengths.size()), lengths.data(), nullptr);
  const bool written = H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start.data(), nullptr,
                                           lengths.data(), nullptr) >= 0 &&
                       H5Dwrite(dataset, type, in_memory, in_file, H5P_DEFAULT, values) >= 0;
  H5Sclose(in_memory);
  H5Sclose(in_file);
  return written;
}

}  // namespace

template <typename Dtype>
void HDF5OutputLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  (void)top;
  file_name_ = this->layer_param_.hdf5_output_param().file_name();
  CAFFE_CHECK(!file_name_.empty(), this->name() << "hdf5_output_param has no file_name");
  in_layer(*this, [this] { file_.reset(new Hdf5File(file_name_, Hdf5File::kCreate)); });
}

template <typename Dtype>
void HDF5OutputLayer<Dtype>::append(const char* name, const Blob<Dtype>& blob) {
  const hid_t type = native_type(Dtype());
  const vector<hsize_t> lengths(blob.shape().begin(), blob.shape().end());
  const hid_t dataset = rows_ == 0 ? make_dataset(file_->id(), name, type, lengths)
                                   : H5Dopen2(file_->id(), name, H5P_DEFAULT);
  const bool written = dataset >= 0 && write_rows(dataset, type, rows_, lengths, blob.cpu_data());
  if (dataset >= 0) H5Dclose(dataset);
  CAFFE_CHECK(written, this->name()
                           << "a batch of shape " << blob.shape_string()
                           << " cannot be added to data set '" << name << "' of '" << file_name_
                           << "': is the disk full, or did earlier batches have "
                           << "a different shape?");
}

template <typename Dtype>
void HDF5OutputLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  (void)top;
  for (const Blob<Dtype>* blob : bottom) {
    CAFFE_CHECK(blob->num_axes() > 0 && blob->count() > 0 && blob->shape(0) == bottom[0]->shape(0),
                this->name() << "data and labels need the same number of rows, not shapes "
                             << bottom[0]->shape_string() << " and " << bottom[1]->shape_string());
  }
  SyncedMemory::fetch({bottom[0]->data().get(), bottom[1]->data().get()});
  const auto lock = hdf5_lock();
  append(HDF5_DATA_DATASET_NAME, *bottom[0]);
  append(HDF5_DATA_LABEL_NAME, *bottom[1]);
  rows_ += bottom[0]->shape(0);
  CAFFE_CHECK(H5Fflush(file_->id(), H5F_SCOPE_LOCAL) >= 0,
              this->name() << "'" << file_name_ << "' cannot be written: is the disk full?");
}

INSTANTIATE_CLASS(HDF5OutputLayer);
REGISTER_LAYER_CLASS(HDF5Output);

}  // namespace caffe
