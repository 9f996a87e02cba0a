#include "caffe/layers/absval_layer.hpp"

#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"

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
  parallel_for(bottom[0]->count(),
               AbsValForward<Dtype>{bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void AbsValLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  if (!propagate_down[0]) return;
  refuse_backward_in_place(*this, bottom, top);
  parallel_for(bottom[0]->count(),
               AbsValBackward<Dtype>{bottom[0]->active_data(), top[0]->active_diff(),
                                     bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(AbsValLayer);
REGISTER_LAYER_CLASS(AbsVal);

}  // namespace caffe
