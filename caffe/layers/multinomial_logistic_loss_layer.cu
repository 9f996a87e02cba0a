#include "caffe/layers/multinomial_logistic_loss_layer.hpp"

#include <cmath>

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
CAFFE_HD inline T at_least(T p, T least) {
  return p < least ? least : p;  // NaN stays NaN
}

template <typename T>
struct ItemLoss {
  int classes;
  T least;
  const T* p;      // [items x classes]
  const T* label;  // [items], checked
  T* loss;         // [items]
  CAFFE_HD void operator()(int i) const {
    const int64_t at = static_cast<int64_t>(i) * classes + static_cast<int>(label[i]);
    loss[i] = -std::log(at_least(p[at], least));
  }
};

template <typename T>
struct ProbabilityGradient {
  int classes;
  T least, factor;
  const T* p;
  const T* label;
  T* dp;
  CAFFE_HD void operator()(int item, int i) const {
    const bool is_label = i - item * classes == static_cast<int>(label[item]);
    dp[i] = is_label ? factor / at_least(p[i], least) : T(0);
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
  count_labels(*this, *bottom[1], {classes, false, 0});
  parallel_for(items, ItemLoss<Dtype>{classes, Dtype(kLOG_THRESHOLD), bottom[0]->active_data(),
                                      bottom[1]->active_data(), item_loss_.mutable_active_data()});
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
  const Dtype factor = -top[0]->cpu_diff()[0] / items;
  parallel_planes(
      items, classes,
      ProbabilityGradient<Dtype>{classes, Dtype(kLOG_THRESHOLD), factor, bottom[0]->active_data(),
                                 bottom[1]->active_data(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(MultinomialLogisticLossLayer);
REGISTER_LAYER_CLASS(MultinomialLogisticLoss);

}  // namespace caffe
