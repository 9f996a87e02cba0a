#ifndef CAFFE_UTIL_HDF5_HPP_
#define CAFFE_UTIL_HDF5_HPP_

// HDF5 files: datasets of numbers and groups of them. Errors are caffe::Error and name the file and
// the dataset; HDF5's own reports to stderr are off while these functions run. The library is not
// thread-safe: code that uses it directly must hold hdf5_lock(), as these functions do.

#include <hdf5.h>
#include <hdf5_hl.h>

#include <mutex>
#include <string>
#include <vector>

#include "caffe/blob.hpp"

namespace caffe {

/// While it exists, this thread alone uses the library, and no other thread forks.
class Hdf5Lock {
 public:
  Hdf5Lock();

 private:
  maap::NoFork no_fork_;
  std::unique_lock<std::recursive_mutex> lock_;
};

inline Hdf5Lock hdf5_lock() {
  return {};
}

/// An open file, closed by the destructor.
class Hdf5File {
 public:
  enum Mode { kRead, kCreate };
  Hdf5File(const string& filename, Mode mode);
  ~Hdf5File();
  hid_t id() const { return id_; }
  /// Throws if data could not be written to the file.
  void Close();

 private:
  const string filename_;
  hid_t id_;
  DISABLE_COPY_AND_ASSIGN(Hdf5File);
};

/// An open group; its name may be a path, whose missing parts kCreate creates; it opens what
/// exists.
class Hdf5Group {
 public:
  enum Mode { kOpen, kCreate };
  Hdf5Group(hid_t loc_id, const string& name, Mode mode = kOpen);
  ~Hdf5Group();
  hid_t id() const { return id_; }

 private:
  hid_t id_;
  DISABLE_COPY_AND_ASSIGN(Hdf5Group);
};

/// Whether a file is HDF5, whatever its name; false for one that cannot be read.
bool IsHdf5File(const string& filename);

bool hdf5_exists(hid_t loc_id, const string& path);
/// The names in a group, sorted.
vector<string> hdf5_names(hid_t loc_id);
/// The shape of a dataset of numbers. Throws if the file is too small for it, or if a blob cannot
/// have that shape.
vector<int> hdf5_shape(hid_t loc_id, const string& dataset_name);

/// Checks that a dataset has min_dim to max_dim axes and gives the blob its shape; without
/// `reshape`, throws if the blob's shape differs.
template <typename Dtype>
void hdf5_load_nd_dataset_helper(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                                 Blob<Dtype>* blob, bool reshape);

/// The same, and also loads the values. Dtype: float, double or int.
template <typename Dtype>
void hdf5_load_nd_dataset(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                          Blob<Dtype>* blob, bool reshape = false);

template <typename Dtype>
void hdf5_save_nd_dataset(hid_t file_id, const string& dataset_name, const Blob<Dtype>& blob,
                          bool write_diff = false);

int hdf5_load_int(hid_t loc_id, const string& dataset_name);
void hdf5_save_int(hid_t loc_id, const string& dataset_name, int i);
string hdf5_load_string(hid_t loc_id, const string& dataset_name);
void hdf5_save_string(hid_t loc_id, const string& dataset_name, const string& s);

int hdf5_get_num_links(hid_t loc_id);
string hdf5_get_name_by_idx(hid_t loc_id, int idx);

}  // namespace caffe

#endif  // CAFFE_UTIL_HDF5_HPP_
