#ifndef CAFFE_UTIL_VALUE_FORMAT_HPP_
#define CAFFE_UTIL_VALUE_FORMAT_HPP_

// The order (caffe/util/value_order.hpp) and the type in which a layer on a GPU reads and writes
// its blobs.
//
// In the math modes FP16 and BF16 a convolution by cuDNN stores its top with the channels last in
// 16 bits each, and a layer that can work on such values follows its bottom:
//
//   with_values<Dtype>(data_format(*bottom[0]), [&](auto values) {
//     using T = typename decltype(values)::Type;  // Dtype, Float16 or Bfloat16
//     const T* const x = values.data(*bottom[0]);
//     T* const y = values.mutable_data(top[0]);
//     ...
//   });
//
// Its functors compute in maap::Computed<T> (kernels/half.hpp) and keep sums, statistics and
// parameters in float. A layer that knows nothing of this asks for gpu_data() and gets floats; a
// blob whose values it wrote has no 16 bits until somebody asks for them. Each conversion counts as
// a reorder (caffe/util/reorder_count.hpp).

#include <type_traits>
#include <vector>

#include "caffe/util/value_order.hpp"

namespace caffe {

struct Format {
  Order order;
  ValueType type;
};

namespace internal {

/// Values of 16 bits need a channel axis.
template <typename Dtype>
bool may_be_half(const Blob<Dtype>& blob) {
  return std::is_same<Dtype, float>::value && blob.num_axes() >= 2 && Caffe::mode() == Caffe::GPU;
}

/// The type of 16 bits that a block has up to date; else kFloat.
template <typename Dtype>
ValueType half_type(const Blob<Dtype>& blob, const SyncedMemory& block) {
  if (!may_be_half(blob)) return type_of<Dtype>();
  for (const ValueType type : {ValueType::kFloat16, ValueType::kBfloat16}) {
    if (has_nhwc(block, blob.shape(), type)) return type;
  }
  return type_of<Dtype>();
}

}  // namespace internal

template <typename Dtype>
Format data_format(const Blob<Dtype>& blob) {
  const ValueType type = internal::half_type(blob, *blob.data());
  return {is_half(type) ? Order::kNhwc : data_order(blob), type};
}

template <typename Dtype>
Format diff_format(const Blob<Dtype>& blob) {
  const ValueType type = internal::half_type(blob, *blob.diff());
  return {is_half(type) ? Order::kNhwc : diff_order(blob), type};
}

/// For several blobs: 16 bits if one of them has them, else the common order.
template <typename Dtype>
Format common_data_format(const std::vector<Blob<Dtype>*>& blobs) {
  for (const Blob<Dtype>* const blob : blobs) {
    const Format format = data_format(*blob);
    if (is_half(format.type)) return format;
  }
  return {common_data_order(blobs), type_of<Dtype>()};
}

template <typename Dtype>
Format common_diff_format(const std::vector<Blob<Dtype>*>& blobs) {
  for (const Blob<Dtype>* const blob : blobs) {
    const Format format = diff_format(*blob);
    if (is_half(format.type)) return format;
  }
  return {common_diff_order(blobs), type_of<Dtype>()};
}

/// The blobs' values as arrays of T in an order. What is said of data_in() and the functions beside
/// it holds here.
template <typename Dtype, typename T>
struct Values {
  using Type = T;
  static constexpr bool kHalf = !std::is_same<Dtype, T>::value;
  static constexpr ValueType kType = type_of<T>();
  Order order;

  Format format() const { return {order, kType}; }
  const T* data(const Blob<Dtype>& blob) const {
    if constexpr (!kHalf) {
      return data_in(order, blob);
    } else {
      return static_cast<const T*>(internal::read_nhwc(blob.data().get(), blob.shape(), kType));
    }
  }
  const T* diff(const Blob<Dtype>& blob) const {
    if constexpr (!kHalf) {
      return diff_in(order, blob);
    } else {
      return static_cast<const T*>(internal::read_nhwc(blob.diff().get(), blob.shape(), kType));
    }
  }
  T* mutable_data(Blob<Dtype>* blob) const {
    if constexpr (!kHalf) {
      return mutable_data_in(order, blob);
    } else {
      return static_cast<T*>(internal::write_nhwc(blob->data().get(), blob->shape(), kType));
    }
  }
  T* mutable_diff(Blob<Dtype>* blob) const {
    if constexpr (!kHalf) {
      return mutable_diff_in(order, blob);
    } else {
      return static_cast<T*>(internal::write_nhwc(blob->diff().get(), blob->shape(), kType));
    }
  }
};

/// Copies a blob's values to a blob of the same shape, in this order and type.
template <typename Dtype, typename T>
void copy_values(const Values<Dtype, T>& values, const Blob<Dtype>& from, Blob<Dtype>* to) {
  if constexpr (Values<Dtype, T>::kHalf) {
    const T* const x = values.data(from);
    caffe_gpu_memcpy(sizeof(T) * from.count(), x, values.mutable_data(to));
  } else {
    copy_data(values.order, from, to);
  }
}

/// Calls f(Values<Dtype, T>) with the T of a format.
template <typename Dtype, typename F>
void with_values(const Format& format, const F& f) {
  if constexpr (std::is_same<Dtype, float>::value) {
    if (format.type == ValueType::kFloat16) return f(Values<Dtype, Float16>{format.order});
    if (format.type == ValueType::kBfloat16) return f(Values<Dtype, Bfloat16>{format.order});
  }
  f(Values<Dtype, Dtype>{format.order});
}

}  // namespace caffe

#endif  // CAFFE_UTIL_VALUE_FORMAT_HPP_
