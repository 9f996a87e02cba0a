#include "caffe/layers/tanh_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"
#include "caffe/util/vector_math.hpp"

namespace caffe {

namespace {

template <typename T>
struct TanHForward {
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = vector_tanh(x[i]); }
};

template <typename T>
struct TanHBackward {
  const T* y;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const { dx[i] = dy[i] * (T(1) - y[i] * y[i]); }
};

}  // namespace

template <typename Dtype>
void TanHLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(),
               TanHForward<Dtype>{data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void TanHLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*top[0]);
  parallel_for(bottom[0]->count(),
               TanHBackward<Dtype>{data_in(order, *top[0]), diff_in(order, *top[0]),
                                   mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(TanHLayer);
REGISTER_LAYER_CLASS(TanH);

}  // namespace caffe
