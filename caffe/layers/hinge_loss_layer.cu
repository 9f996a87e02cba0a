#include "caffe/layers/hinge_loss_layer.hpp"

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct Margin {
  int classes;
  const T* x;      // [items x classes]
  const T* label;  // [items], checked
  T* margin;       // as x
  CAFFE_HD void operator()(int item, int i) const {
    const T m = i - item * classes == static_cast<int>(label[item]) ? T(1) - x[i] : T(1) + x[i];
    margin[i] = m < T(0) ? T(0) : m;
  }
};

template <typename T>
struct ScoreGradient {
  int classes;
  bool squared;
  T factor;
  const T* margin;
  const T* label;
  T* dx;
  CAFFE_HD void operator()(int item, int i) const {
    const T sign = i - item * classes == static_cast<int>(label[item]) ? T(-1) : T(1);
    const T slope = squared ? T(2) * margin[i] : (margin[i] > T(0) ? T(1) : T(0));
    dx[i] = factor * sign * slope;
  }
};

}  // namespace

template <typename Dtype>
void HingeLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CAFFE_CHECK(bottom[1]->count() == bottom[0]->shape(0),
              this->name() << "takes one label for each item; the scores are "
                           << bottom[0]->shape_string() << " and the labels "
                           << bottom[1]->shape_string());
  margin_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void HingeLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int items = bottom[0]->shape(0), classes = bottom[0]->count(1);
  const int count = bottom[0]->count();
  count_labels(*this, *bottom[1], {classes, false, 0});
  parallel_planes(items, classes,
                  Margin<Dtype>{classes, bottom[0]->active_data(), bottom[1]->active_data(),
                                margin_.mutable_active_data()});
  const Dtype* const m = margin_.active_data();
  const bool squared = this->layer_param_.hinge_loss_param().norm() == HingeLossParameter::L2;
  const Dtype sum = squared ? caffe_dot(count, m, m) : caffe_asum(count, m);
  top[0]->mutable_cpu_data()[0] = sum / items;
}

template <typename Dtype>
void HingeLossLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  this->refuse_gradient(propagate_down, 1);
  if (!propagate_down[0]) return;
  const int items = bottom[0]->shape(0), classes = bottom[0]->count(1);
  const bool squared = this->layer_param_.hinge_loss_param().norm() == HingeLossParameter::L2;
  parallel_planes(
      items, classes,
      ScoreGradient<Dtype>{classes, squared, top[0]->cpu_diff()[0] / items, margin_.active_data(),
                           bottom[1]->active_data(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(HingeLossLayer);
REGISTER_LAYER_CLASS(HingeLoss);

}  // namespace caffe
