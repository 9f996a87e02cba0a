#include "caffe/layers/swish_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"
#include "kernels/sigmoid.hpp"

namespace caffe {

namespace {

template <typename T>
struct SwishForward {
  T beta;
  const T* x;  // [count]
  T* y;        // [count]
  T* kept;     // [count] for the sigmoids, or null
  CAFFE_HD void operator()(int i) const {
    const T s = maap::sigmoid(beta * x[i]);
    y[i] = x[i] * s;
    if (kept != nullptr) kept[i] = s;
  }
};

/// dx = dy (beta y + s (1 - beta y)), s = sigmoid(beta x)
template <typename T>
struct SwishBackward {
  T beta;
  const T* x;        // [count]; x, or y if `sigmoid` is given
  const T* sigmoid;  // [count] or null
  const T* dy;       // [count]
  T* dx;             // [count]
  CAFFE_HD void operator()(int i) const {
    const T s = sigmoid != nullptr ? sigmoid[i] : maap::sigmoid(beta * x[i]);
    const T y = sigmoid != nullptr ? x[i] : x[i] * s;
    dx[i] = dy[i] * (beta * y + s * (T(1) - beta * y));
  }
};

}  // namespace

template <typename Dtype>
void SwishLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0] == top[0]) {
    sigmoid_.ReshapeLike(*bottom[0]);
  } else {
    top[0]->ReshapeLike(*bottom[0]);
  }
}

template <typename Dtype>
void SwishLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const Dtype beta = this->layer_param_.swish_param().beta();
  parallel_for(
      bottom[0]->count(),
      SwishForward<Dtype>{beta, data_in(order, *bottom[0]), mutable_data_in(order, top[0]),
                          bottom[0] == top[0] ? mutable_data_in(order, &sigmoid_) : nullptr});
}

template <typename Dtype>
void SwishLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  const Dtype beta = this->layer_param_.swish_param().beta();
  parallel_for(bottom[0]->count(),
               SwishBackward<Dtype>{beta, data_in(order, *bottom[0]),
                                    bottom[0] == top[0] ? data_in(order, sigmoid_) : nullptr,
                                    diff_in(order, *top[0]), mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(SwishLayer);
REGISTER_LAYER_CLASS(Swish);

}  // namespace caffe
