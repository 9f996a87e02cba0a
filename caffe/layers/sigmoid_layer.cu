#include "caffe/layers/sigmoid_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"
#include "kernels/sigmoid.hpp"

namespace caffe {

namespace {

template <typename T>
struct SigmoidForward {
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = maap::sigmoid(x[i]); }
};

template <typename T>
struct SigmoidBackward {
  const T* y;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const { dx[i] = dy[i] * y[i] * (T(1) - y[i]); }
};

}  // namespace

template <typename Dtype>
void SigmoidLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(),
               SigmoidForward<Dtype>{data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void SigmoidLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*top[0]);
  parallel_for(bottom[0]->count(),
               SigmoidBackward<Dtype>{data_in(order, *top[0]), diff_in(order, *top[0]),
                                      mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(SigmoidLayer);
REGISTER_LAYER_CLASS(Sigmoid);

}  // namespace caffe
