#include "caffe/layers/power_layer.hpp"

#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// base^power; the common powers without a logarithm.
template <typename T>
CAFFE_HD T raise(T base, T power) {
  if (power == T(1)) return base;
  if (power == T(2)) return base * base;
  if (power == T(0)) return T(1);
  return std::pow(base, power);
}

template <typename T>
struct PowerForward {
  T power, scale, shift;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = raise(shift + scale * x[i], power); }
};

template <typename T>
struct PowerBackward {
  T power, scale, shift;
  const T* x;   // [count]; anything where power is 0 or 1
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T factor = power * scale;
    dx[i] = factor == T(0) ? T(0) : dy[i] * factor * raise(shift + scale * x[i], power - T(1));
  }
};

}  // namespace

template <typename Dtype>
void PowerLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const PowerParameter& param = this->layer_param_.power_param();
  parallel_for(bottom[0]->count(),
               PowerForward<Dtype>{param.power(), param.scale(), param.shift(),
                                   bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void PowerLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const PowerParameter& param = this->layer_param_.power_param();
  if (param.power() != 1 && param.power() * param.scale() != 0) {
    refuse_backward_in_place(*this, bottom, top);
  }
  parallel_for(
      bottom[0]->count(),
      PowerBackward<Dtype>{param.power(), param.scale(), param.shift(), bottom[0]->active_data(),
                           top[0]->active_diff(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(PowerLayer);
REGISTER_LAYER_CLASS(Power);

}  // namespace caffe
