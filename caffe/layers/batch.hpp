#ifndef CAFFE_LAYERS_BATCH_HPP_
#define CAFFE_LAYERS_BATCH_HPP_

#include <exception>
#include <memory>

#include "caffe/blob.hpp"
#include "caffe/util/packed_images.hpp"
#include "caffe/util/upload.hpp"

namespace caffe {

/// What a net's blobs have of the batches that were lent to them.
struct Lent {
  bool data_on_host = false, label_on_host = false;
};

/// What a data layer's thread prepares for one forward pass. The thread fills data_ and label_ on
/// the CPU, or, for a net on a GPU, packs images as bytes in place of data_; then it sends them.
template <typename Dtype>
class Batch {
 public:
  Blob<Dtype> data_, label_;
  std::exception_ptr error_;  // why the batch could not be loaded

  /// Memory for the shapes that data_ and label_ have; for images as bytes if `packed`.
  void reserve(bool packed, bool labels, bool on_gpu);

  // The data layer's thread.

  /// Before anything is written: waits until what was sent has been read.
  void clear();
  /// Makes room for images as bytes in place of values, of data_'s shape.
  void pack();
  bool is_packed() const { return packed_; }
  PackedImage* how() { return reinterpret_cast<PackedImage*>(upload_.host(bytes_in_all())); }
  unsigned char* pixels() { return reinterpret_cast<unsigned char*>(how() + data_.shape(0)); }
  /// Packed image i becomes values in data_, on the CPU.
  void unpack(const PixelTransform<Dtype>& transform, int i);
  /// data_ holds the values now.
  void is_unpacked() { packed_ = false; }
  /// Starts copying to the GPU.
  void send(bool labels);

  // The net's thread.

  /// Lets a net's blobs use the memory, which exists as long as they need it. On a GPU, packed
  /// images become values in `values`, which is lent in place of data_.
  void lend(const PixelTransform<Dtype>& transform, Blob<Dtype>* values, Blob<Dtype>* data,
            Blob<Dtype>* label, Lent* lent);
  /// New memory, if someone else than the net's blobs uses the old: an array in Python.
  void take_back();

 private:
  // What is uploaded: how, pixels, labels; only the last unless images are packed.
  size_t packed_bytes() const;
  size_t bytes_in_all() const { return packed_bytes() + label_.count() * sizeof(Dtype); }
  PackedBatch packed_batch(const void* memory) const;
  void lend_sent(const PixelTransform<Dtype>& transform, Blob<Dtype>* values, Blob<Dtype>* data,
                 Blob<Dtype>* label, Lent* lent);

  bool packed_ = false, sent_ = false;
  Upload upload_;
  Blob<Dtype>* lent_ = nullptr;  // data_ or what was lent in its place
  std::weak_ptr<void> lent_data_, lent_label_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BATCH_HPP_
