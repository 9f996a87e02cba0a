#include "caffe/layers/power_layer.hpp"

#include <cmath>

#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/active.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

// The power as a type, so that common powers need no logarithm and no branch in the loop.
template <typename T>
struct Zeroth {
  CAFFE_HD T operator()(T) const { return T(1); }
};
template <typename T>
struct First {
  CAFFE_HD T operator()(T base) const { return base; }
};
template <typename T>
struct Second {
  CAFFE_HD T operator()(T base) const { return base * base; }
};
template <typename T>
struct Any {
  T power;
  CAFFE_HD T operator()(T base) const { return std::pow(base, power); }
};

template <typename T, typename Raise>
struct PowerForward {
  Raise raise;
  T scale, shift;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = raise(shift + scale * x[i]); }
};

/// dx = dy factor (shift + scale x)^(power - 1), factor = power scale
template <typename T, typename Raise>
struct PowerBackward {
  Raise raise;  // to power - 1
  T factor, scale, shift;
  const T* x;   // [count]; not read for power 1
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const { dx[i] = dy[i] * (factor * raise(shift + scale * x[i])); }
};

/// Calls run(Zeroth, First, Second or Any).
template <typename T, typename Run>
void with_power(T power, const Run& run) {
  if (power == T(0)) {
    run(Zeroth<T>());
  } else if (power == T(1)) {
    run(First<T>());
  } else if (power == T(2)) {
    run(Second<T>());
  } else {
    run(Any<T>{power});
  }
}

}  // namespace

template <typename Dtype>
void PowerLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const PowerParameter& param = this->layer_param_.power_param();
  const Dtype scale = param.scale(), shift = param.shift();
  const Dtype* const x = data_in(order, *bottom[0]);
  Dtype* const y = mutable_data_in(order, top[0]);
  with_power<Dtype>(param.power(), [&](auto raise) {
    parallel_for(bottom[0]->count(),
                 PowerForward<Dtype, decltype(raise)>{raise, scale, shift, x, y});
  });
}

template <typename Dtype>
void PowerLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = gradient_order(*bottom[0], *top[0]);
  const PowerParameter& param = this->layer_param_.power_param();
  const Dtype scale = param.scale(), shift = param.shift(), factor = param.power() * scale;
  const int count = bottom[0]->count();
  if (factor == Dtype(0)) {
    active_set(count, Dtype(0), mutable_diff_in(order, bottom[0]));
    return;
  }
  if (param.power() != 1) refuse_backward_in_place(*this, bottom, top);
  const Dtype* const dy = diff_in(order, *top[0]);
  Dtype* const dx = mutable_diff_in(order, bottom[0]);
  // With power 1 nothing depends on x, which may be given up.
  const Dtype* const x = param.power() == 1 ? dy : data_in(order, *bottom[0]);
  with_power<Dtype>(param.power() - 1, [&](auto raise) {
    parallel_for(count,
                 PowerBackward<Dtype, decltype(raise)>{raise, factor, scale, shift, x, dy, dx});
  });
}

INSTANTIATE_CLASS(PowerLayer);
REGISTER_LAYER_CLASS(Power);

}  // namespace caffe
