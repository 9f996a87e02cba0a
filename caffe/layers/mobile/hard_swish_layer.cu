#include "caffe/layers/mobile/hard_swish_layer.hpp"

#include "caffe/util/parallel.hpp"

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
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(),
               HardSwishForward<Dtype>{data_in(order, *bottom[0]), mutable_data_in(order, top[0]),
                                       this->copy(order, bottom, top)});
}

template <typename Dtype>
void HardSwishLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(),
               HardSwishBackward<Dtype>{this->input(order, bottom, top), diff_in(order, *top[0]),
                                        mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(HardSwishLayer);
REGISTER_LAYER_CLASS(HardSwish);
INSTANTIATE_CLASS(HSwishLayer);
REGISTER_LAYER_CLASS(HSwish);

}  // namespace caffe
