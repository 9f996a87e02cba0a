#include "caffe/layers/hinge_loss_layer.hpp"

#include "caffe/layers/gpu_loss.hpp"
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
struct MarginTerms {
  using Value = T;
  bool squared;
  const T* margin;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    return {margin[i], squared ? margin[i] : T(1)};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T, typename Factor>
struct HingeGradient {
  int classes;
  bool squared;
  Factor factor;
  const T* margin;
  const T* label;
  T* dx;
  CAFFE_HD void operator()(int item, int i) const {
    const T sign = i - item * classes == static_cast<int>(label[item]) ? T(-1) : T(1);
    const T slope = squared ? T(2) * margin[i] : (margin[i] > T(0) ? T(1) : T(0));
    dx[i] = value_of(factor) * sign * slope;
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
  const bool on_gpu = current_device() == Device::kGPU;
  const LabelRange range = {classes, false, 0};
  if (on_gpu) {
    check_labels_on_gpu(*this, *bottom[1], range, &label_counts_);
  } else {
    count_labels(*this, *bottom[1], range);
  }
  parallel_planes(items, classes,
                  Margin<Dtype>{classes, bottom[0]->active_data(), bottom[1]->active_data(),
                                margin_.mutable_active_data()});
  const Dtype* const m = margin_.active_data();
  const bool squared = this->layer_param_.hinge_loss_param().norm() == HingeLossParameter::L2;
  if (on_gpu) {
    gpu_total(count, MarginTerms<Dtype>{squared, m},
              StoreLoss<Dtype>{{Dtype(items), nullptr}, Dtype(1), top[0]->mutable_gpu_data()});
    return;
  }
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
  const auto run = [&](const auto& factor) {
    parallel_planes(items, classes,
                    HingeGradient<Dtype, std::decay_t<decltype(factor)>>{
                        classes, squared, factor, margin_.active_data(), bottom[1]->active_data(),
                        bottom[0]->mutable_active_diff()});
  };
  if (current_device() == Device::kGPU) {
    run(LossFactor<Dtype>{Dtype(1), top[0]->gpu_diff(), {Dtype(items), nullptr}});
  } else {
    run(Dtype(top[0]->cpu_diff()[0] / items));
  }
}

INSTANTIATE_CLASS(HingeLossLayer);
REGISTER_LAYER_CLASS(HingeLoss);

}  // namespace caffe
