#include "caffe/layers/absval_layer.hpp"

#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct AbsValForward {
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = std::fabs(x[i]); }
};

template <typename T>
struct AbsValBackward {
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T right = dy[i], left = x[i] < T(0) ? -right : T(0);
    dx[i] = x[i] > T(0) ? right : left;
  }
};

}  // namespace

template <typename Dtype>
void AbsValLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(),
               AbsValForward<Dtype>{data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void AbsValLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  refuse_backward_in_place(*this, bottom, top);
  parallel_for(bottom[0]->count(),
               AbsValBackward<Dtype>{data_in(order, *bottom[0]), diff_in(order, *top[0]),
                                     mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(AbsValLayer);
REGISTER_LAYER_CLASS(AbsVal);

}  // namespace caffe
