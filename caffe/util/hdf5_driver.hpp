#ifndef CAFFE_UTIL_HDF5_DRIVER_HPP_
#define CAFFE_UTIL_HDF5_DRIVER_HPP_

#include <hdf5.h>

namespace caffe {

/// Makes H5Fopen read files in a way that refuses every address outside of the file, and waits for
/// nobody's lock. HDF5's own drivers let it collect small reads, and HDF5 1.10 then copies from
/// nowhere if a damaged file has an address near 2^64. For files that are only read. Call it within
/// an Hdf5Lock.
void hdf5_read_safely(hid_t access_list);

}  // namespace caffe

#endif  // CAFFE_UTIL_HDF5_DRIVER_HPP_
