#ifndef CAFFE_UTIL_VALUE_ORDER_HPP_
#define CAFFE_UTIL_VALUE_ORDER_HPP_

// The order of a blob's values in GPU memory.
//
//   kNchw  as everywhere in Caffe: image by image, then plane by plane
//   kNhwc  the channels last: the values of a pixel's channels are neighbours, which is what tensor
//          cores read. Value (n, c, p) of N images with C channels of P pixels (all axes behind the
//          second) has the index (n P + p) C + c
//
// A blob that has kNhwc holds it as a foreign copy on the GPU (caffe/syncedmem.hpp). A layer that
// can work in either order
//
//   asks     data_order(*bottom[0]) for the order that is up to date;
//   reads    data_in(order, *bottom[0]): where the values already have that order this costs
//            nothing, otherwise they are converted on the GPU, which reorder_count() counts, and
//            kept beside the plain ones, so that the next reader gets them for nothing;
//   writes   mutable_data_in(order, top[0]): now the blob has that order. It reads first: in place,
//            the values may only then be in that order.
//
// So two layers that agree on an order convert nothing between them, and a layer that knows nothing
// of this asks for gpu_data() and gets plain values. In CPU mode the answer is always kNchw, and
// the functions are active_data() and the like.
//
// Both orders are the same if there is one channel or one pixel: such blobs, and those of fewer
// than three axes, always count as kNchw, and a request for kNhwc returns the plain values.
//
// Convolutions start it: where gpu_order() is kNhwc they write kNhwc, and the other layers follow
// their bottoms.

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/value_type.hpp"

namespace caffe {

enum class Order { kNchw, kNhwc };

/// The order in which convolutions on a GPU leave their results: CAFFE_GPU_LAYOUT=NHWC or NCHW in
/// the environment; kNchw without it. Another value of the variable throws.
Order gpu_order();
/// From now on, for this process.
void set_gpu_order(Order order);

/// Calls f(std::integral_constant<Order, order>()): for functors that have the order as a template
/// parameter.
template <typename F>
void with_order(Order order, const F& f) {
  if (order == Order::kNhwc) {
    f(std::integral_constant<Order, Order::kNhwc>());
  } else {
    f(std::integral_constant<Order, Order::kNchw>());
  }
}

/// Whether both orders of a shape are the same.
bool is_order_free(const vector<int>& shape);

/// Outer, channels and inner for the channels of axis 1 of a shape in an order: value (o, c, i) of
/// caffe/util/channel_shape.hpp has one pixel per row in kNhwc.
ChannelShape channels_of(Order order, const vector<int>& shape);

/// For each axis of a shape, the distance of two neighbours in memory.
vector<int64_t> strides_of(Order order, const vector<int>& shape);

/// Converts an array of a shape on the GPU. With `add` the values are added to those in `to`.
/// reorder_count() does not count it.
template <typename Dtype>
void nchw_to_nhwc(const vector<int>& shape, const Dtype* from, Dtype* to);
template <typename Dtype>
void nhwc_to_nchw(const vector<int>& shape, const Dtype* from, Dtype* to, bool add = false);
/// The same between floats and values of 16 bits.
void nchw_to_half(const vector<int>& shape, const float* from, ValueType type, void* to);
void half_to_nchw(const vector<int>& shape, ValueType type, const void* from, float* to,
                  bool add = false);

/// A blob's values in the order kNhwc, in the blob's type or, for a blob of floats, in 16 bits.
class NhwcCopy : public ForeignCopy {
 public:
  NhwcCopy(const vector<int>& shape, ValueType type);
  bool on_gpu() const override { return true; }
  void copy_to(void* plain) const override;
  void fill_from(const void* plain);
  /// For new values of another shape; allocates if they need more memory.
  void reshape(const vector<int>& shape, ValueType type);
  /// Whether that needs no allocation.
  bool has_room(const vector<int>& shape, ValueType type) const;
  bool has(const vector<int>& shape, ValueType type) const {
    return shape == shape_ && type == type_;
  }
  ValueType type() const { return type_; }
  /// For work that the calling thread queues next, on its GPU: memory that is on another moves
  /// there.
  const void* values() const;
  void* new_values();
  const void* address() const override { return memory_.get(); }

 private:
  bool is_here() const;
  void allocate(size_t bytes) const;

  vector<int> shape_;
  ValueType type_ = ValueType::kFloat;
  // Where the values are does not change what they are.
  mutable size_t capacity_ = 0;  // bytes
  mutable std::shared_ptr<void> memory_;
  mutable std::shared_ptr<GpuUsage> usage_;
};

namespace internal {

/// Of a block's values, if they are a blob's of that shape.
bool has_nhwc(const SyncedMemory& block, const vector<int>& shape, ValueType type);
const void* read_nhwc(SyncedMemory* block, const vector<int>& shape, ValueType type);
void* write_nhwc(SyncedMemory* block, const vector<int>& shape, ValueType type);

template <typename Dtype>
bool is_nhwc(Order order, const Blob<Dtype>& blob) {
  return order == Order::kNhwc && !is_order_free(blob.shape());
}

}  // namespace internal

template <typename Dtype>
Order data_order(const Blob<Dtype>& blob) {
  const bool found = Caffe::mode() == Caffe::GPU &&
                     internal::has_nhwc(*blob.data(), blob.shape(), type_of<Dtype>());
  return found ? Order::kNhwc : Order::kNchw;
}

template <typename Dtype>
Order diff_order(const Blob<Dtype>& blob) {
  const bool found = Caffe::mode() == Caffe::GPU &&
                     internal::has_nhwc(*blob.diff(), blob.shape(), type_of<Dtype>());
  return found ? Order::kNhwc : Order::kNchw;
}

/// The order to combine several blobs in: kNhwc if at least one has it and at most one has to be
/// converted.
template <typename Dtype>
Order common_data_order(const vector<Blob<Dtype>*>& blobs);
template <typename Dtype>
Order common_diff_order(const vector<Blob<Dtype>*>& blobs);

/// The values in an order, on the device that the thread's mode selects.
template <typename Dtype>
const Dtype* data_in(Order order, const Blob<Dtype>& blob) {
  if (!internal::is_nhwc(order, blob)) return blob.active_data();
  return static_cast<const Dtype*>(
      internal::read_nhwc(blob.data().get(), blob.shape(), type_of<Dtype>()));
}

template <typename Dtype>
const Dtype* diff_in(Order order, const Blob<Dtype>& blob) {
  if (!internal::is_nhwc(order, blob)) return blob.active_diff();
  return static_cast<const Dtype*>(
      internal::read_nhwc(blob.diff().get(), blob.shape(), type_of<Dtype>()));
}

/// Memory for all of the blob's values, which must be written in that order: from now on they alone
/// are up to date. It has the previous values if these were in the same order, for work in place.
template <typename Dtype>
Dtype* mutable_data_in(Order order, Blob<Dtype>* blob) {
  if (!internal::is_nhwc(order, *blob)) return blob->mutable_active_data();
  return static_cast<Dtype*>(
      internal::write_nhwc(blob->data().get(), blob->shape(), type_of<Dtype>()));
}

template <typename Dtype>
Dtype* mutable_diff_in(Order order, Blob<Dtype>* blob) {
  if (!internal::is_nhwc(order, *blob)) return blob->mutable_active_diff();
  return static_cast<Dtype*>(
      internal::write_nhwc(blob->diff().get(), blob->shape(), type_of<Dtype>()));
}

/// The values of a blob of the same shape, on the device that the thread's mode selects.
template <typename Dtype>
void copy_data(Order order, const Blob<Dtype>& from, Blob<Dtype>* to) {
  const Dtype* const values = data_in(order, from);
  caffe_copy(from.count(), values, mutable_data_in(order, to));
}

}  // namespace caffe

#endif  // CAFFE_UTIL_VALUE_ORDER_HPP_
