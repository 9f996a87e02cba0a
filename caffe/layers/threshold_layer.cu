#include "caffe/layers/threshold_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct Step {
  T threshold;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = x[i] > threshold ? T(1) : T(0); }
};

}  // namespace

template <typename Dtype>
void ThresholdLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const Dtype threshold = this->layer_param_.threshold_param().threshold();
  parallel_for(bottom[0]->count(),
               Step<Dtype>{threshold, data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void ThresholdLayer<Dtype>::Backward_any(const Blobs&, const std::vector<bool>& propagate_down,
                                         const Blobs&) {
  CAFFE_CHECK(!propagate_down[0], this->name() << "a step has no gradient: give the layer "
                                               << "propagate_down: false");
}

INSTANTIATE_CLASS(ThresholdLayer);
REGISTER_LAYER_CLASS(Threshold);

}  // namespace caffe
