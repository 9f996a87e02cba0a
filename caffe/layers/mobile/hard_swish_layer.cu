#include "caffe/layers/mobile/hard_swish_layer.hpp"

namespace caffe {

namespace {

template <typename T>
struct HardSwishForward {
  const T* x;  // [count]
  T* y;        // [count]
  T* kept;     // [count] for x, or null
  CAFFE_HD void operator()(int i) const {
    const T value = x[i];
    if (kept != nullptr) kept[i] = value;
    const T above = value + T(3) < T(0) ? T(0) : value + T(3);
    y[i] = value * (above > T(6) ? T(6) : above) / T(6);
  }
};

template <typename T>
struct HardSwishBackward {
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T between = (T(2) * x[i] + T(3)) / T(6);
    const T lower = x[i] < T(-3) ? T(0) : between;
    dx[i] = dy[i] * (x[i] > T(3) ? T(1) : lower);
  }
};

}  // namespace

template <typename Dtype>
void HardSwishLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  this->template forward<HardSwishForward>(bottom, top);
}

template <typename Dtype>
void HardSwishLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  this->template backward<HardSwishBackward>(top, propagate_down[0], bottom);
}

INSTANTIATE_CLASS(HardSwishLayer);
REGISTER_LAYER_CLASS(HardSwish);
INSTANTIATE_CLASS(HSwishLayer);
REGISTER_LAYER_CLASS(HSwish);

}  // namespace caffe
