#include "caffe/layers/clip_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct ClipForward {
  T min, max;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = x[i] < min ? min : x[i] > max ? max : x[i]; }
};

template <typename T>
struct ClipBackward {
  T min, max;
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T inside = dy[i];
    dx[i] = (x[i] >= min) & (x[i] <= max) ? inside : T(0);
  }
};

}  // namespace

template <typename Dtype>
void ClipLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const ClipParameter& param = this->layer_param_.clip_param();
  CAFFE_CHECK(param.min() <= param.max(), this->name() << "min is " << param.min() << " and max "
                                                       << param.max() << ": min is the larger one");
}

template <typename Dtype>
void ClipLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const ClipParameter& param = this->layer_param_.clip_param();
  parallel_for(bottom[0]->count(),
               ClipForward<Dtype>{param.min(), param.max(), data_in(order, *bottom[0]),
                                  mutable_data_in(order, top[0])});
}

template <typename Dtype>
void ClipLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = data_order(*bottom[0]);
  refuse_backward_in_place(*this, bottom, top);
  const ClipParameter& param = this->layer_param_.clip_param();
  parallel_for(bottom[0]->count(),
               ClipBackward<Dtype>{param.min(), param.max(), data_in(order, *bottom[0]),
                                   diff_in(order, *top[0]), mutable_diff_in(order, bottom[0])});
}

INSTANTIATE_CLASS(ClipLayer);
REGISTER_LAYER_CLASS(Clip);

}  // namespace caffe
