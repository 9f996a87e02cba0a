#ifndef CAFFE_LAYERS_GRADIENT_ORDER_HPP_
#define CAFFE_LAYERS_GRADIENT_ORDER_HPP_

// The order (caffe/util/value_order.hpp) for the Backward of a layer that does not read its
// bottoms' values: the order that these have or, if the net has given them up, that of the tops'
// gradients.

#include <vector>

#include "caffe/util/value_format.hpp"

namespace caffe {

template <typename Dtype>
Order gradient_order(const Blob<Dtype>& bottom, const Blob<Dtype>& top) {
  return bottom.data()->is_given_up() ? diff_order(top) : data_order(bottom);
}

template <typename Dtype>
Order gradient_order(const std::vector<Blob<Dtype>*>& bottom,
                     const std::vector<Blob<Dtype>*>& top) {
  for (const Blob<Dtype>* const each : bottom) {
    if (each->data()->is_given_up()) return common_diff_order(top);
  }
  return common_data_order(bottom);
}

/// The same with the type (caffe/util/value_format.hpp).
template <typename Dtype>
Format gradient_format(const Blob<Dtype>& bottom, const Blob<Dtype>& top) {
  return bottom.data()->is_given_up() ? diff_format(top) : data_format(bottom);
}

template <typename Dtype>
Format gradient_format(const std::vector<Blob<Dtype>*>& bottom,
                       const std::vector<Blob<Dtype>*>& top) {
  for (const Blob<Dtype>* const each : bottom) {
    if (each->data()->is_given_up()) return common_diff_format(top);
  }
  return common_data_format(bottom);
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_GRADIENT_ORDER_HPP_
