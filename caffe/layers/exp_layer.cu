#include "caffe/layers/exp_layer.hpp"

#include <cmath>

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct ExpForward {
  T inner, outer;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = outer * std::exp(inner * x[i]); }
};

template <typename T>
struct ExpBackward {
  T inner;
  const T* y;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const { dx[i] = inner * y[i] * dy[i]; }
};

}  // namespace

template <typename Dtype>
void ExpLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const ExpParameter& param = this->layer_param_.exp_param();
  CAFFE_CHECK(param.base() == -1 || param.base() > 0,
              this->name() << "base is " << param.base() << "; it must be above 0, or -1 for e");
  const double log_base = param.base() == -1 ? 1 : std::log(double(param.base()));
  CAFFE_CHECK(std::isfinite(log_base), this->name() << "base is " << param.base());
  inner_ = static_cast<Dtype>(log_base * param.scale());
  outer_ = static_cast<Dtype>(std::exp(log_base * param.shift()));
}

template <typename Dtype>
void ExpLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(), ExpForward<Dtype>{inner_, outer_, data_in(order, *bottom[0]),
                                                     mutable_data_in(order, top[0])});
}

template <typename Dtype>
void ExpLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*top[0]);
  parallel_for(bottom[0]->count(),
               ExpBackward<Dtype>{inner_, data_in(order, *top[0]), diff_in(order, *top[0]),
                                  mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(ExpLayer);
REGISTER_LAYER_CLASS(Exp);

}  // namespace caffe
