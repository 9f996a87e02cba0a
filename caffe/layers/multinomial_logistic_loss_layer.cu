#include "caffe/layers/multinomial_logistic_loss_layer.hpp"

#include <cmath>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
CAFFE_HD inline T at_least(T p, T least) {
  return p < least ? least : p;  // NaN stays NaN
}

template <typename T>
struct LogisticLoss {
  int classes;
  T least;
  const T* p;      // [items x classes]
  const T* label;  // [items]
  T* loss;         // [items]
  CAFFE_HD void operator()(int i) const {
    const int l = static_cast<int>(label[i]);
    const int64_t at = static_cast<int64_t>(i) * classes + l;
    const bool is_class = l >= 0 && l < classes;  // on a GPU wrong labels are found late
    loss[i] = is_class ? -std::log(at_least(p[at], least)) : T(0);
  }
};

template <typename T, typename Factor>
struct ProbabilityGradient {
  int classes;
  T least;
  Factor factor;
  const T* p;
  const T* label;
  T* dp;
  CAFFE_HD void operator()(int item, int i) const {
    const bool is_label = i - item * classes == static_cast<int>(label[item]);
    dp[i] = is_label ? value_of(factor) / at_least(p[i], least) : T(0);
  }
};

}  // namespace

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CAFFE_CHECK(bottom[1]->count() == bottom[0]->shape(0),
              this->name() << "takes one label for each item; the probabilities are "
                           << bottom[0]->shape_string() << " and the labels "
                           << bottom[1]->shape_string());
  item_loss_.Reshape({bottom[1]->count()});
}

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int items = bottom[0]->shape(0), classes = bottom[0]->count(1);
  const LabelRange range = {classes, false, 0};
  const LogisticLoss<Dtype> item = {classes, Dtype(kLOG_THRESHOLD), bottom[0]->active_data(),
                                    bottom[1]->active_data(), item_loss_.mutable_active_data()};
  if (current_device() == Device::kGPU) {
    check_labels_on_gpu(*this, *bottom[1], range, &label_counts_);
    gpu_loss<Dtype>(items, item, item.loss, {Dtype(items), nullptr}, top[0]->mutable_gpu_data());
    return;
  }
  count_labels(*this, *bottom[1], range);
  parallel_for(items, item);
  Dtype sum = 0;
  const Dtype* const loss = item_loss_.cpu_data();
  for (int i = 0; i < items; ++i) sum += loss[i];
  top[0]->mutable_cpu_data()[0] = sum / items;
}

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Backward_any(const Blobs& top,
                                                       const std::vector<bool>& propagate_down,
                                                       const Blobs& bottom) {
  this->refuse_gradient(propagate_down, 1);
  if (!propagate_down[0]) return;
  const int items = bottom[0]->shape(0), classes = bottom[0]->count(1);
  const auto run = [&](const auto& factor) {
    parallel_planes(items, classes,
                    ProbabilityGradient<Dtype, std::decay_t<decltype(factor)>>{
                        classes, Dtype(kLOG_THRESHOLD), factor, bottom[0]->active_data(),
                        bottom[1]->active_data(), bottom[0]->mutable_active_diff()});
  };
  if (current_device() == Device::kGPU) {
    run(LossFactor<Dtype>{Dtype(-1), top[0]->gpu_diff(), {Dtype(items), nullptr}});
  } else {
    run(Dtype(-top[0]->cpu_diff()[0] / items));
  }
}

INSTANTIATE_CLASS(MultinomialLogisticLossLayer);
REGISTER_LAYER_CLASS(MultinomialLogisticLoss);

}  // namespace caffe
