#include "caffe/layers/bnll_layer.hpp"

#include <cmath>

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"
#include "caffe/util/vector_math.hpp"

namespace caffe {

namespace {

template <typename T>
struct BNLLForward {
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T positive = x[i] > T(0) ? x[i] : T(0);
    y[i] = positive + std::log1p(maap::exp_negative(x[i] < T(0) ? -x[i] : x[i]));
  }
};

template <typename T>
struct BNLLBackward {
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const { dx[i] = dy[i] * maap::sigmoid(x[i]); }
};

/// sigmoid(x) = 1 - exp(-y)
template <typename T>
struct BNLLBackwardInPlace {
  const T* y;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const { dx[i] = dy[i] * -expm1_negative(y[i]); }
};

}  // namespace

template <typename Dtype>
void BNLLLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  parallel_for(bottom[0]->count(),
               BNLLForward<Dtype>{data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void BNLLLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  const Dtype* const x = data_in(order, *bottom[0]);
  const Dtype* const dy = diff_in(order, *top[0]);
  Dtype* const dx = mutable_diff_in(order, bottom[0]);
  if (bottom[0] == top[0]) {
    parallel_for(bottom[0]->count(), BNLLBackwardInPlace<Dtype>{x, dy, dx});
  } else {
    parallel_for(bottom[0]->count(), BNLLBackward<Dtype>{x, dy, dx});
  }
}

INSTANTIATE_CLASS(BNLLLayer);
REGISTER_LAYER_CLASS(BNLL);

}  // namespace caffe
