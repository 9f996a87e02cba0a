#ifndef CAFFE_UTIL_HDF5_CHUNKS_HPP_
#define CAFFE_UTIL_HDF5_CHUNKS_HPP_

#include <hdf5.h>

#include <string>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// An HDF5 handle, closed by the destructor.
class Hdf5Handle {
 public:
  Hdf5Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }

 private:
  const hid_t id_;
  herr_t (*const close_)(hid_t);
  DISABLE_COPY_AND_ASSIGN(Hdf5Handle);
};

/// Throws, with `where` before the message, unless every chunk of a chunked dataset holds as many
/// bytes as it must. HDF5 1.10 does not check this: if a damaged file has fewer bytes, H5Dread
/// reads past the end of its memory. Compressed chunks are decompressed for the check; the only
/// supported compression is gzip (deflate), with or without shuffle and fletcher32.
void check_hdf5_chunks(hid_t dataset, const std::vector<int>& shape, const std::string& where);

}  // namespace caffe

#endif  // CAFFE_UTIL_HDF5_CHUNKS_HPP_
