#include "caffe/layers/relu_layer.hpp"

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct ReLUForward {
  T slope;
  const T* x;  // [count]
  T* y;        // [count]
  // Both choices are between existing values. A choice between x and a product would compile to a
  // branch for each value, which is ten times slower.
  CAFFE_HD void operator()(int i) const {
    const T positive = x[i] > T(0) ? x[i] : T(0);
    const T negative = x[i] > T(0) ? T(0) : x[i];
    y[i] = positive + slope * negative;
  }
};

template <typename T>
struct ReLUBackward {
  T slope;
  const T* x;   // [count], or y: the sign is the same
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T gradient = dy[i];
    const T positive = x[i] > T(0) ? gradient : T(0);
    const T negative = x[i] > T(0) ? T(0) : gradient;
    dx[i] = positive + slope * negative;
  }
};

}  // namespace

template <typename Dtype>
void ReLULayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const float slope = this->layer_param_.relu_param().negative_slope();
  CAFFE_CHECK(slope >= 0 || bottom[0] != top[0],
              this->name() << "negative_slope " << slope << " in place loses the sign that the "
                           << "gradient needs: give its top a different name");
}

template <typename Dtype>
void ReLULayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const Dtype slope = this->layer_param_.relu_param().negative_slope();
  parallel_for(bottom[0]->count(), ReLUForward<Dtype>{slope, data_in(order, *bottom[0]),
                                                      mutable_data_in(order, top[0])});
}

template <typename Dtype>
void ReLULayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  const Dtype slope = this->layer_param_.relu_param().negative_slope();
  parallel_for(bottom[0]->count(),
               ReLUBackward<Dtype>{slope, data_in(order, *bottom[0]), diff_in(order, *top[0]),
                                   mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(ReLULayer);
REGISTER_LAYER_WITH_ENGINE(ReLU, relu_param);

}  // namespace caffe
