#include "caffe/layers/batch.hpp"

#include <algorithm>

namespace caffe {

namespace {

/// Whether someone else than the blob has its memory on the host: an array in Python. The blob's
/// values are given up.
template <typename Dtype>
bool host_is_held(Blob<Dtype>* blob) {
  blob->data()->overwrite_cpu_data();
  return blob->data()->share_cpu_data().use_count() > 1;
}

/// The net's blob counts its users itself: the batch is not one of them. The batch keeps its own
/// GPU copy current, whatever happens to the net's, so that the next batch does not copy it back.
/// `has_host`: whether the net's blob has host memory of a batch, into which it would copy values
/// that it is lent on the GPU and that are then wanted on the CPU; it keeps memory of its own for
/// that, unless somebody holds it.
template <typename Dtype>
std::weak_ptr<void> lend_memory(const Blob<Dtype>& from, bool on_gpu, Blob<Dtype>* to,
                                bool* has_host) {
  to->ReshapeLike(from);
  if (on_gpu && (*has_host || host_is_held(to))) to->ShareData(Blob<Dtype>(to->shape()));
  *has_host = !on_gpu;
  SyncedMemory* const block = from.data().get();
  const shared_ptr<void> memory = on_gpu ? block->share_gpu_data() : block->share_cpu_data();
  const shared_ptr<Dtype> lent(static_cast<Dtype*>(memory.get()), [memory](Dtype*) {});
  on_gpu ? to->set_gpu_data(lent) : to->set_cpu_data(lent);
  return lent;
}

template <typename Dtype>
void replace_if_used(const std::weak_ptr<void>& lent, Blob<Dtype>* blob) {
  if (lent.use_count() > 1) blob->ShareData(Blob<Dtype>(blob->shape()));
}

}  // namespace

template <typename Dtype>
size_t Batch<Dtype>::packed_bytes() const {
  if (!packed_) return 0;
  const size_t bytes = data_.shape(0) * sizeof(PackedImage) + data_.count();
  return (bytes + sizeof(Dtype) - 1) / sizeof(Dtype) * sizeof(Dtype);
}

template <typename Dtype>
void Batch<Dtype>::reserve(bool packed, bool labels, bool on_gpu) {
  packed_ = packed;
  if (!packed) data_.mutable_cpu_data();
  if (labels) label_.mutable_cpu_data();
  if (!on_gpu) return;
  upload_.reserve(bytes_in_all());
  if (!packed) data_.gpu_data();
}

template <typename Dtype>
void Batch<Dtype>::clear() {
  upload_.clear();
  packed_ = false;
  sent_ = false;
}

template <typename Dtype>
void Batch<Dtype>::pack() {
  packed_ = true;
  upload_.host(bytes_in_all());
}

template <typename Dtype>
PackedBatch Batch<Dtype>::packed_batch(const void* memory) const {
  const PackedImage* const how = static_cast<const PackedImage*>(memory);
  const int images = data_.shape(0);
  return {images,
          data_.shape(1),
          data_.shape(2),
          data_.shape(3),
          how,
          reinterpret_cast<const unsigned char*>(how + images)};
}

template <typename Dtype>
void Batch<Dtype>::unpack(const PixelTransform<Dtype>& transform, int i) {
  const size_t values = data_.count(1);
  PackedBatch image = packed_batch(how());
  image.images = 1;
  image.how += i;
  image.pixels += i * values;
  transform.run(maap::Device::kCPU, image, data_.mutable_cpu_data() + i * values);
}

template <typename Dtype>
void Batch<Dtype>::send(bool labels) {
  if (!packed_) data_.data()->async_gpu_push(device::copy_stream());
  if (labels) {
    std::copy_n(label_.cpu_data(), label_.count(),
                reinterpret_cast<Dtype*>(upload_.host(bytes_in_all()) + packed_bytes()));
  }
  if (packed_ || labels) upload_.send();
  sent_ = true;
}

template <typename Dtype>
void Batch<Dtype>::lend_sent(const PixelTransform<Dtype>& transform, Blob<Dtype>* values,
                             Blob<Dtype>* data, Blob<Dtype>* label, Lent* lent) {
  upload_.receive();
  if (packed_) {
    values->ReshapeLike(data_);
    const shared_ptr<void> memory = upload_.lend_gpu(0);
    transform.run(maap::Device::kGPU, packed_batch(memory.get()), values->mutable_gpu_data());
    lent_ = values;
  }
  lent_data_ = lend_memory(*lent_, true, data, &lent->data_on_host);
  if (label == nullptr) return;
  label->ReshapeLike(label_);
  const shared_ptr<void> labels = upload_.lend_host(packed_bytes());
  label->set_cpu_data(shared_ptr<Dtype>(labels, static_cast<Dtype*>(labels.get())));
  label->data()->set_gpu_copy(upload_.lend_gpu(packed_bytes()));
  lent->label_on_host = true;
}

template <typename Dtype>
void Batch<Dtype>::lend(const PixelTransform<Dtype>& transform, Blob<Dtype>* values,
                        Blob<Dtype>* data, Blob<Dtype>* label, Lent* lent) {
  const bool on_gpu = Caffe::mode() == Caffe::GPU;
  lent_ = &data_;
  // What was sent to another GPU than the net's is still on the host.
  if (on_gpu && sent_ && upload_.is_here()) return lend_sent(transform, values, data, label, lent);
  for (int i = 0; packed_ && i < data_.shape(0); ++i) unpack(transform, i);
  lent_data_ = lend_memory(data_, on_gpu, data, &lent->data_on_host);
  if (label == nullptr) return;
  lent_label_ = lend_memory(label_, on_gpu, label, &lent->label_on_host);
}

template <typename Dtype>
void Batch<Dtype>::take_back() {
  replace_if_used(lent_data_, lent_);
  replace_if_used(lent_label_, &label_);
  if (sent_) upload_.give_back();
}

template class Batch<float>;
template class Batch<double>;

}  // namespace caffe
