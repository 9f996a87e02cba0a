#include "caffe/layers/mobile/relu6_layer.hpp"

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct ReLU6Forward {
  T slope, threshold;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T positive = x[i] > T(0) ? x[i] : T(0);
    const T negative = x[i] > T(0) ? T(0) : x[i];
    const T value = positive + slope * negative;
    y[i] = value > threshold ? threshold : value;
  }
};

template <typename T>
struct ReLU6Backward {
  T slope, threshold;
  const T* x;   // [count], or y
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T gradient = dy[i];
    const T positive = (x[i] > T(0)) & (x[i] < threshold) ? gradient : T(0);
    const T negative = x[i] > T(0) ? T(0) : gradient;
    dx[i] = positive + slope * negative;
  }
};

}  // namespace

template <typename Dtype>
void ReLU6Layer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const ReLU6Parameter& param = this->layer_param_.relu6_param();
  CAFFE_CHECK(param.negative_slope() >= 0 || bottom[0] != top[0],
              this->name() << "negative_slope " << param.negative_slope() << " in place loses the "
                           << "sign that the gradient needs: give its top a different name");
  CAFFE_CHECK(param.threshold() > 0,
              this->name() << "threshold is " << param.threshold() << "; it must be more than 0");
}

template <typename Dtype>
void ReLU6Layer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const ReLU6Parameter& param = this->layer_param_.relu6_param();
  parallel_for(bottom[0]->count(),
               ReLU6Forward<Dtype>{param.negative_slope(), param.threshold(),
                                   data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void ReLU6Layer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  const ReLU6Parameter& param = this->layer_param_.relu6_param();
  parallel_for(
      bottom[0]->count(),
      ReLU6Backward<Dtype>{param.negative_slope(), param.threshold(), data_in(order, *bottom[0]),
                           diff_in(order, *top[0]), mutable_diff_in(order, bottom[0])});
}

/// The forks' enum Engine has other libraries behind CUDNN: only CAFFE, the plain layer, is asked
/// for by its number.
template <typename Dtype>
shared_ptr<Layer<Dtype>> make_relu6(const LayerParameter& param) {
  const bool plain = param.relu6_param().engine() == ReLU6Parameter::CAFFE;
  return EngineChoice<Dtype>::make(
      param, static_cast<int>(plain ? ReLUParameter::CAFFE : ReLUParameter::DEFAULT),
      make_plain<Dtype, ReLU6Layer>);
}

INSTANTIATE_CLASS(ReLU6Layer);
REGISTER_LAYER_CREATOR(ReLU6, make_relu6);

}  // namespace caffe
