#include "caffe/layers/elu_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"
#include "caffe/util/vector_math.hpp"

namespace caffe {

namespace {

template <typename T>
struct ELUForward {
  T alpha;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const {
    const bool positive = x[i] > T(0);
    const T curve = alpha * expm1_negative(positive ? T(0) : -x[i]);  // NaN for NaN
    y[i] = positive ? x[i] : curve;
  }
};

template <typename T>
struct ELUBackward {
  T alpha;
  const T* x;   // [count], or y: the sign is the same
  const T* y;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T below = dy[i] * (y[i] + alpha);
    dx[i] = x[i] > T(0) ? dy[i] : below;
  }
};

}  // namespace

template <typename Dtype>
void ELULayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const float alpha = this->layer_param_.elu_param().alpha();
  CAFFE_CHECK(alpha >= 0 || bottom[0] != top[0],
              this->name() << "alpha " << alpha << " in place loses the sign that the gradient "
                           << "needs: give its top a different name");
}

template <typename Dtype>
void ELULayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const Dtype alpha = this->layer_param_.elu_param().alpha();
  parallel_for(bottom[0]->count(), ELUForward<Dtype>{alpha, data_in(order, *bottom[0]),
                                                     mutable_data_in(order, top[0])});
}

template <typename Dtype>
void ELULayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  const Dtype alpha = this->layer_param_.elu_param().alpha();
  parallel_for(bottom[0]->count(),
               ELUBackward<Dtype>{alpha, data_in(order, *bottom[0]), data_in(order, *top[0]),
                                  diff_in(order, *top[0]), mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(ELULayer);
REGISTER_LAYER_CLASS(ELU);

}  // namespace caffe
