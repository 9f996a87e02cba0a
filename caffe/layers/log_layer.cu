#include "caffe/layers/log_layer.hpp"

#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct LogForward {
  T scale, shift, factor;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = factor * std::log(shift + scale * x[i]); }
};

template <typename T>
struct LogBackward {
  T scale, shift, factor;
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    dx[i] = dy[i] * (factor * scale) / (shift + scale * x[i]);
  }
};

}  // namespace

template <typename Dtype>
void LogLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const float base = this->layer_param_.log_param().base();
  CAFFE_CHECK(base == -1 || (base > 0 && base != 1 && std::isfinite(base)),
              this->name() << "base is " << base << "; it must be above 0 and not 1, or -1 for e");
  factor_ = static_cast<Dtype>(base == -1 ? 1 : 1 / std::log(double(base)));
}

template <typename Dtype>
void LogLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const LogParameter& param = this->layer_param_.log_param();
  parallel_for(bottom[0]->count(),
               LogForward<Dtype>{param.scale(), param.shift(), factor_, data_in(order, *bottom[0]),
                                 mutable_data_in(order, top[0])});
}

template <typename Dtype>
void LogLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  refuse_backward_in_place(*this, bottom, top);
  const LogParameter& param = this->layer_param_.log_param();
  parallel_for(bottom[0]->count(),
               LogBackward<Dtype>{param.scale(), param.shift(), factor_, data_in(order, *bottom[0]),
                                  diff_in(order, *top[0]), mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(LogLayer);
REGISTER_LAYER_CLASS(Log);

}  // namespace caffe
