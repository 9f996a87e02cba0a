#ifndef CAFFE_LAYERS_JOINED_ROWS_HPP_
#define CAFFE_LAYERS_JOINED_ROWS_HPP_

// For Concat and Slice: blobs that are joined along an axis, as rows whose pieces they are.

#include <vector>

#include "caffe/util/value_format.hpp"

namespace caffe {

struct JoinedRows {
  int count, length;
};

/// The rows of a blob of a shape, in an order; kNhwc for axis 0 and 1 only.
inline JoinedRows joined_rows(Order order, int axis, const std::vector<int>& shape) {
  JoinedRows rows = {1, 1};
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    const bool before = order == Order::kNhwc && axis == 1 ? i != 1 : i < axis;
    (before ? rows.count : rows.length) *= shape[i];
  }
  return rows;
}

/// The order in which to join blobs.
template <typename Dtype>
Order joined_order(int axis, const std::vector<Blob<Dtype>*>& blobs) {
  return axis <= 1 ? common_data_order(blobs) : Order::kNchw;
}

/// The same with the type of the values.
template <typename Dtype>
Format joined_format(int axis, const std::vector<Blob<Dtype>*>& blobs) {
  return axis <= 1 ? common_data_format(blobs) : Format{Order::kNchw, type_of<Dtype>()};
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_JOINED_ROWS_HPP_
