#include "caffe/layers/relu_layer.hpp"

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

template <typename T>
struct ReLUForward {
  using C = maap::Computed<T>;
  C slope;
  const T* x;  // [count]
  T* y;        // [count]
  // Both choices are between existing values. A choice between x and a product would compile to a
  // branch for each value, which is ten times slower.
  CAFFE_HD void operator()(int i) const {
    const C value = x[i];
    const C positive = value > C(0) ? value : C(0);
    const C negative = value > C(0) ? C(0) : value;
    y[i] = positive + slope * negative;
  }
};

template <typename T>
struct ReLUBackward {
  using C = maap::Computed<T>;
  C slope;
  const T* x;   // [count], or y: the sign is the same
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const C value = x[i], gradient = dy[i];
    const C positive = value > C(0) ? gradient : C(0);
    const C negative = value > C(0) ? C(0) : gradient;
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
  const Dtype slope = this->layer_param_.relu_param().negative_slope();
  with_values<Dtype>(data_format(*bottom[0]), [&](auto values) {
    using T = typename decltype(values)::Type;
    const T* const x = values.data(*bottom[0]);
    parallel_for(bottom[0]->count(), ReLUForward<T>{slope, x, values.mutable_data(top[0])});
  });
}

template <typename Dtype>
void ReLULayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Dtype slope = this->layer_param_.relu_param().negative_slope();
  with_values<Dtype>(data_format(*bottom[0]), [&](auto values) {
    using T = typename decltype(values)::Type;
    const T* const x = values.data(*bottom[0]);
    const T* const dy = values.diff(*top[0]);
    parallel_for(bottom[0]->count(), ReLUBackward<T>{slope, x, dy, values.mutable_diff(bottom[0])});
  });
}

INSTANTIATE_CLASS(ReLULayer);
REGISTER_LAYER_WITH_ENGINE(ReLU, relu_param);

}  // namespace caffe
