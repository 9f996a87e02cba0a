#include "caffe/util/hdf5_chunks.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

namespace caffe {

namespace {

const uint64_t kChecksum = 4;  // bytes that fletcher32 adds

/// The number of bytes in a zlib stream after decompression, counted up to `enough`; 0 if damaged.
uint64_t inflated_size(const vector<unsigned char>& stream, uint64_t length, uint64_t enough) {
  z_stream state = {};
  if (inflateInit(&state) != Z_OK) return 0;
  vector<unsigned char> out(1 << 16);
  state.next_in = const_cast<unsigned char*>(stream.data());
  state.avail_in = static_cast<uInt>(length);
  uint64_t total = 0;
  int result = Z_OK;
  while (result == Z_OK && total < enough) {
    state.next_out = out.data();
    state.avail_out = static_cast<uInt>(out.size());
    result = inflate(&state, Z_NO_FLUSH);
    total += out.size() - state.avail_out;
  }
  inflateEnd(&state);
  return result == Z_OK || result == Z_STREAM_END ? total : 0;
}

/// The chunks of one dataset.
class Chunks {
 public:
  Chunks(hid_t dataset, const vector<int>& shape, const string& where)
      : dataset_(dataset),
        shape_(shape),
        where_(where),
        plist_(H5Dget_create_plist(dataset), H5Pclose) {}

  void check() {
    if (H5Pget_layout(plist_) != H5D_CHUNKED) return;
    const int axes = static_cast<int>(shape_.size());
    vector<hsize_t> lengths(axes), place(axes, 0);
    CAFFE_CHECK(H5Pget_chunk(plist_, axes, lengths.data()) == axes, where_ << "is damaged");
    const Hdf5Handle type(H5Dget_type(dataset_), H5Tclose);
    bytes_ = H5Tget_size(type);
    for (const hsize_t length : lengths) {
      bytes_ *= length;
      CAFFE_CHECK(bytes_ > 0 && bytes_ <= UINT_MAX,
                  where_ << "has chunks of shape " << shape_text(lengths) << ": it is damaged");
    }
    // Each chunk takes some bytes of the file; a damaged shape may request billions of chunks.
    uint64_t chunks = 1;
    for (int axis = 0; axis < axes; ++axis) {
      chunks *= (static_cast<hsize_t>(shape_[axis]) + lengths[axis] - 1) / lengths[axis];
    }
    CAFFE_CHECK(chunks <= file_size(), where_ << "has " << chunks << " chunks: it is damaged");
    for (int axis = 0; axis >= 0;) {
      check_one(place.data());
      for (axis = axes - 1; axis >= 0; --axis) {  // move to the next chunk
        place[axis] += lengths[axis];
        if (place[axis] < static_cast<hsize_t>(shape_[axis])) break;
        place[axis] = 0;
      }
    }
  }

 private:
  void check_one(const hsize_t* place) {
    hsize_t stored = 0;
    const bool found = H5Dget_chunk_storage_size(dataset_, place, &stored) >= 0;
    CAFFE_CHECK(found && stored <= file_size(),
                where_ << "has a chunk that cannot be found: the file is damaged");
    if (stored == 0) return;  // never written: HDF5 uses the fill value
    const uint64_t held = H5Pget_nfilters(plist_) > 0 ? uncompressed(place, stored) : stored;
    CAFFE_CHECK(held >= bytes_, where_ << "has a chunk of " << held << " bytes, where " << bytes_
                                       << " are needed: the file is damaged");
  }

  /// The size of a chunk after reversing its filters, from the last to the first, except those that
  /// were skipped when it was written.
  uint64_t uncompressed(const hsize_t* place, uint64_t stored) {
    uint32_t mask = 0;
    raw_.resize(std::max<size_t>(raw_.size(), stored));
    if (H5Dread_chunk(dataset_, H5P_DEFAULT, place, &mask, raw_.data()) < 0) return 0;
    uint64_t size = stored;
    bool inflated = false;
    for (int i = H5Pget_nfilters(plist_) - 1; i >= 0; --i) {
      unsigned flags = 0, config = 0;
      size_t values = 0;
      const H5Z_filter_t filter = H5Pget_filter2(plist_, static_cast<unsigned>(i), &flags, &values,
                                                 nullptr, 0, nullptr, &config);
      if ((mask >> i & 1) != 0 || filter == H5Z_FILTER_SHUFFLE) continue;
      if (filter == H5Z_FILTER_FLETCHER32) {
        size -= std::min(size, kChecksum);
        continue;
      }
      CAFFE_CHECK(filter == H5Z_FILTER_DEFLATE && !inflated,
                  where_ << "is compressed with HDF5's filter " << filter
                         << "; store it with gzip or uncompressed");
      inflated = true;
      size = inflated_size(raw_, size, bytes_ + kChecksum);
    }
    return size;
  }

  uint64_t file_size() const {
    hsize_t size = 0;
    const Hdf5Handle file(H5Iget_file_id(dataset_), H5Fclose);
    H5Fget_filesize(file, &size);
    return size;
  }

  const hid_t dataset_;
  const vector<int>& shape_;
  const string& where_;
  const Hdf5Handle plist_;
  uint64_t bytes_ = 0;  // of a complete chunk
  vector<unsigned char> raw_;
};

}  // namespace

void check_hdf5_chunks(hid_t dataset, const vector<int>& shape, const string& where) {
  Chunks(dataset, shape, where).check();
}

}  // namespace caffe
