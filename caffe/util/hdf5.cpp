#include "caffe/util/hdf5.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/util/file_kind.hpp"
#include "caffe/util/hdf5_chunks.hpp"
#include "caffe/util/hdf5_driver.hpp"

namespace caffe {

namespace {

typedef Hdf5Handle Handle;

/// Holds the lock, and keeps HDF5 from printing, while a function runs.
class Session {
 public:
  Session() : lock_(hdf5_lock()) {
    // Everything opened here is closed here. Otherwise, if a file could not be written completely
    // (no space left), HDF5 would try again when the process ends, and print errors.
    static const herr_t once = H5dont_atexit();
    (void)once;
    H5Eget_auto2(H5E_DEFAULT, &report_, &report_data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Session() { H5Eset_auto2(H5E_DEFAULT, report_, report_data_); }

 private:
  Hdf5Lock lock_;
  H5E_auto2_t report_ = nullptr;
  void* report_data_ = nullptr;
  DISABLE_COPY_AND_ASSIGN(Session);
};

template <typename Get>
string name_from(const Get& get) {
  const ssize_t length = get(nullptr, 0);
  if (length <= 0) return "";
  string name(static_cast<size_t>(length) + 1, '\0');
  get(&name[0], name.size());
  name.resize(static_cast<size_t>(length));
  return name;
}

string file_of(hid_t id) {
  return name_from([&](char* name, size_t size) { return H5Fget_name(id, name, size); });
}

/// "FILE: data set '/data/conv1/0' "
string where(hid_t loc_id, const string& dataset) {
  string group =
      name_from([&](char* name, size_t size) { return H5Iget_name(loc_id, name, size); });
  if (group.empty() || group.back() != '/') group += '/';
  return file_of(loc_id) + ": data set '" + group + dataset + "' ";
}

template <typename T>
hid_t native_type();
template <>
hid_t native_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t native_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
hid_t native_type<int>() {
  return H5T_NATIVE_INT;
}

hid_t open_dataset(hid_t loc_id, const string& name) {
  CAFFE_CHECK(hdf5_exists(loc_id, name), where(loc_id, name) << "does not exist");
  const hid_t id = H5Dopen2(loc_id, name.c_str(), H5P_DEFAULT);
  CAFFE_CHECK(id >= 0, where(loc_id, name) << "cannot be opened: it is damaged or a group");
  return id;
}

/// The most bytes that a dataset's stored data can represent: its size or, if compressed, about
/// 1100 times that, since deflate's limit is 1032.
uint64_t most_bytes(hid_t dataset, uint64_t file_size) {
  const uint64_t stored = std::min<uint64_t>(H5Dget_storage_size(dataset), file_size);
  const Handle plist(H5Dget_create_plist(dataset), H5Pclose);
  const bool compressed = plist >= 0 && H5Pget_nfilters(plist) > 0;
  return compressed ? stored * 1100 : stored;
}

/// Nothing is allocated for a dataset larger than the file can hold.
void check_fits(hid_t loc_id, const string& name, hid_t dataset, uint64_t count) {
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type);
  CAFFE_CHECK(kind == H5T_FLOAT || kind == H5T_INTEGER,
              where(loc_id, name)
                  << "does not contain numbers; float, double or an integer type is needed");
  hsize_t file_size = 0;
  const Handle file(H5Iget_file_id(dataset), H5Fclose);
  CAFFE_CHECK(H5Fget_filesize(file, &file_size) >= 0, where(loc_id, name) << "cannot be read");
  const uint64_t claimed = count * H5Tget_size(type);
  CAFFE_CHECK(claimed <= most_bytes(dataset, file_size),
              where(loc_id, name) << "claims " << claimed << " bytes, more than are stored for it: "
                                  << "the file is damaged or was never filled");
}

vector<int> checked_shape(hid_t loc_id, const string& name, hid_t dataset) {
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const int axes = H5Sget_simple_extent_ndims(space);
  CAFFE_CHECK(axes >= 0 && H5Sget_simple_extent_type(space) != H5S_NULL, where(loc_id, name)
                                                                             << "has no shape");
  CAFFE_CHECK(axes <= kMaxBlobAxes,
              where(loc_id, name) << "has " << axes << " axes; a blob can have " << kMaxBlobAxes);
  vector<hsize_t> lengths(axes);
  if (axes > 0) H5Sget_simple_extent_dims(space, lengths.data(), nullptr);
  uint64_t count = 1;
  for (const hsize_t length : lengths) {
    CAFFE_CHECK(length <= INT_MAX && count * length <= INT_MAX,
                where(loc_id, name) << "of shape " << shape_text(lengths) << " has more than "
                                    << INT_MAX << " values, the limit for a blob");
    count *= length;
  }
  check_fits(loc_id, name, dataset, count);
  return vector<int>(lengths.begin(), lengths.end());
}

template <typename T>
void save(hid_t loc_id, const string& name, const vector<hsize_t>& lengths, const T* values) {
  const Handle space(
      lengths.empty() ? H5Screate(H5S_SCALAR)
                      : H5Screate_simple(static_cast<int>(lengths.size()), lengths.data(), nullptr),
      H5Sclose);
  const Handle dataset(H5Dcreate2(loc_id, name.c_str(), native_type<T>(), space, H5P_DEFAULT,
                                  H5P_DEFAULT, H5P_DEFAULT),
                       H5Dclose);
  CAFFE_CHECK(dataset >= 0 &&
                  H5Dwrite(dataset, native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0,
              where(loc_id, name) << "cannot be written: is the disk full, or the name taken?");
}

}  // namespace

Hdf5Lock::Hdf5Lock() {
  static std::recursive_mutex* const mutex = new std::recursive_mutex();
  lock_ = std::unique_lock<std::recursive_mutex>(*mutex);
}

// ---- files and groups

Hdf5File::Hdf5File(const string& filename, Mode mode) : filename_(filename) {
  const Session session;
  if (mode == kRead) {
    CAFFE_CHECK(std::ifstream(filename).good(), filename << ": cannot be opened");
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    hdf5_read_safely(access);
    id_ = H5Fopen(filename.c_str(), H5F_ACC_RDONLY, access);
    if (id_ < 0) {
      const bool marked = H5Fis_hdf5(filename.c_str()) > 0;
      const string kind = marked ? "" : kind_note(filename);
      CAFFE_FAIL(filename << ": is not an HDF5 file, or is damaged"
                          << (kind.empty() ? "; is a download or a copy incomplete?" : kind));
    }
  } else {
    id_ = H5Fcreate(filename.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    CAFFE_CHECK(id_ >= 0, filename << ": cannot be written");
  }
}

Hdf5File::~Hdf5File() {
  const Session session;
  if (id_ >= 0) H5Fclose(id_);
}

void Hdf5File::Close() {
  const Session session;
  const bool flushed = H5Fflush(id_, H5F_SCOPE_LOCAL) >= 0;
  const bool closed = H5Fclose(id_) >= 0;
  id_ = -1;
  CAFFE_CHECK(flushed && closed, filename_ << ": writing failed: is the disk full?");
}

Hdf5Group::Hdf5Group(hid_t loc_id, const string& name, Mode mode) {
  const Session session;
  if (mode == kOpen || hdf5_exists(loc_id, name)) {  // a part of an earlier path exists already
    id_ = H5Gopen2(loc_id, name.c_str(), H5P_DEFAULT);
  } else {
    const Handle parts(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(parts, 1);
    id_ = H5Gcreate2(loc_id, name.c_str(), parts, H5P_DEFAULT, H5P_DEFAULT);
  }
  CAFFE_CHECK(id_ >= 0, file_of(loc_id)
                            << ": group '" << name << "' cannot be "
                            << (mode == kOpen ? "opened" : "created: is the name taken?"));
}

Hdf5Group::~Hdf5Group() {
  const Session session;
  H5Gclose(id_);
}

bool IsHdf5File(const string& filename) {
  const Session session;
  return H5Fis_hdf5(filename.c_str()) > 0;
}

bool hdf5_exists(hid_t loc_id, const string& path) {
  const Session session;
  if (path.empty()) return false;
  // H5Lexists() asks for the last part only, and knows no part that is "." or empty.
  for (size_t slash = path.find('/', 1); slash != string::npos; slash = path.find('/', slash + 1)) {
    const string parent = path.substr(0, slash);
    const string part = parent.substr(parent.rfind('/') + 1);
    if (part.empty() || part == ".") continue;
    if (H5Lexists(loc_id, parent.c_str(), H5P_DEFAULT) <= 0) return false;
  }
  return H5Lexists(loc_id, path.c_str(), H5P_DEFAULT) > 0 &&
         H5Oexists_by_name(loc_id, path.c_str(), H5P_DEFAULT) > 0;
}

int hdf5_get_num_links(hid_t loc_id) {
  const Session session;
  H5G_info_t info;
  CAFFE_CHECK(H5Gget_info(loc_id, &info) >= 0, file_of(loc_id) << ": a group cannot be read");
  return static_cast<int>(info.nlinks);
}

string hdf5_get_name_by_idx(hid_t loc_id, int idx) {
  const Session session;
  const string name = name_from([&](char* text, size_t size) {
    return H5Lget_name_by_idx(loc_id, ".", H5_INDEX_NAME, H5_ITER_INC, static_cast<hsize_t>(idx),
                              text, size, H5P_DEFAULT);
  });
  CAFFE_CHECK(!name.empty(), file_of(loc_id) << ": a group has no entry " << idx);
  return name;
}

vector<string> hdf5_names(hid_t loc_id) {
  const int links = hdf5_get_num_links(loc_id);
  vector<string> names;
  for (int i = 0; i < links; ++i) names.push_back(hdf5_get_name_by_idx(loc_id, i));
  return names;
}

// ---- datasets

vector<int> hdf5_shape(hid_t loc_id, const string& dataset_name) {
  const Session session;
  const Handle dataset(open_dataset(loc_id, dataset_name), H5Dclose);
  return checked_shape(loc_id, dataset_name, dataset);
}

template <typename Dtype>
void hdf5_load_nd_dataset_helper(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                                 Blob<Dtype>* blob, bool reshape) {
  const Session session;
  const vector<int> shape = hdf5_shape(file_id, dataset_name_);
  const int axes = static_cast<int>(shape.size());
  CAFFE_CHECK(axes >= min_dim && axes <= max_dim, where(file_id, dataset_name_)
                                                      << "has " << axes << " axes; " << min_dim
                                                      << " to " << max_dim << " are needed");
  if (reshape) {
    blob->Reshape(shape);
  } else {
    CAFFE_CHECK(blob->shape() == shape, where(file_id, dataset_name_)
                                            << "has shape " << shape_text(shape)
                                            << ", but the blob to fill has shape "
                                            << blob->shape_string());
  }
}

template <typename Dtype>
void hdf5_load_nd_dataset(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                          Blob<Dtype>* blob, bool reshape) {
  const Session session;
  hdf5_load_nd_dataset_helper(file_id, dataset_name_, min_dim, max_dim, blob, reshape);
  const Handle dataset(open_dataset(file_id, dataset_name_), H5Dclose);
  if (blob->count() == 0) return;
  check_hdf5_chunks(dataset, blob->shape(), where(file_id, dataset_name_));
  CAFFE_CHECK(H5Dread(dataset, native_type<Dtype>(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                      blob->mutable_cpu_data()) >= 0,
              where(file_id, dataset_name_) << "cannot be read: the file is damaged");
}

template <typename Dtype>
void hdf5_save_nd_dataset(hid_t file_id, const string& dataset_name, const Blob<Dtype>& blob,
                          bool write_diff) {
  const Session session;
  save(file_id, dataset_name, vector<hsize_t>(blob.shape().begin(), blob.shape().end()),
       write_diff ? blob.cpu_diff() : blob.cpu_data());
}

int hdf5_load_int(hid_t loc_id, const string& dataset_name) {
  const Session session;
  Blob<int> value;
  hdf5_load_nd_dataset(loc_id, dataset_name.c_str(), 0, kMaxBlobAxes, &value, true);
  CAFFE_CHECK(value.count() == 1, where(loc_id, dataset_name)
                                      << "has " << value.count() << " values; one is needed");
  return value.cpu_data()[0];
}

void hdf5_save_int(hid_t loc_id, const string& dataset_name, int i) {
  const Session session;
  save(loc_id, dataset_name, {1}, &i);
}

string hdf5_load_string(hid_t loc_id, const string& dataset_name) {
  const Session session;
  const Handle dataset(open_dataset(loc_id, dataset_name), H5Dclose);
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  CAFFE_CHECK(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) <= 0 &&
                  H5Sget_simple_extent_npoints(space) == 1,
              where(loc_id, dataset_name) << "is not a string of fixed length");
  const size_t size = H5Tget_size(type);
  CAFFE_CHECK(size <= H5Dget_storage_size(dataset),
              where(loc_id, dataset_name) << "claims more bytes than are stored for it");
  string text(size, '\0');
  CAFFE_CHECK(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text[0]) >= 0,
              where(loc_id, dataset_name) << "cannot be read: the file is damaged");
  return text.substr(0, text.find('\0'));
}

void hdf5_save_string(hid_t loc_id, const string& dataset_name, const string& s) {
  const Session session;
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, s.size() + 1);
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle dataset(
      H5Dcreate2(loc_id, dataset_name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
      H5Dclose);
  CAFFE_CHECK(
      dataset >= 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, s.c_str()) >= 0,
      where(loc_id, dataset_name) << "cannot be written");
}

#define INSTANTIATE_LOAD(Dtype)                                                                \
  template void hdf5_load_nd_dataset_helper(hid_t, const char*, int, int, Blob<Dtype>*, bool); \
  template void hdf5_load_nd_dataset(hid_t, const char*, int, int, Blob<Dtype>*, bool)
INSTANTIATE_LOAD(float);
INSTANTIATE_LOAD(double);
INSTANTIATE_LOAD(int);
#undef INSTANTIATE_LOAD
template void hdf5_save_nd_dataset(hid_t, const string&, const Blob<float>&, bool);
template void hdf5_save_nd_dataset(hid_t, const string&, const Blob<double>&, bool);
template void hdf5_save_nd_dataset(hid_t, const string&, const Blob<int>&, bool);

}  // namespace caffe
