#include "caffe/layers/metric/scale_rank_loss_layer.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Probabilities of all scales, and labels.
template <typename T>
struct RankedScales {
  int scales, classes;
  T margin;
  const T* p[ScaleRankLossLayer<T>::kMostScales];  // [items, classes] each
  const T* labels;                                 // [items]
  /// The class of an item, or -1: on a GPU wrong labels are found late.
  CAFFE_HD int class_of(int item) const {
    const int label = static_cast<int>(labels[item]);
    return label >= 0 && label < classes ? label : -1;
  }
  /// What scale s lacks to be surer than the scale before it by the margin; 0 for the first.
  CAFFE_HD T lack(int item, int label, int s) const {
    if (s < 1 || s >= scales) return T(0);
    const int64_t at = static_cast<int64_t>(item) * classes + label;
    const T value = p[s - 1][at] - p[s][at] + margin;
    return value < T(0) ? T(0) : value;  // NaN stays NaN
  }
};

template <typename T>
struct RankTerm {
  RankedScales<T> ranked;
  T* terms;  // [items]
  CAFFE_HD void operator()(int item) const {
    const int label = ranked.class_of(item);
    T sum = T(0);
    for (int s = 1; label >= 0 && s < ranked.scales; ++s) sum += ranked.lack(item, label, s);
    terms[item] = sum;
  }
};

/// The gradient of scale s: 1 where the next scale lacks something, -1 where it does itself.
template <typename T, typename Factor>
struct RankGradient {
  RankedScales<T> ranked;
  Factor factor;
  int s;
  T* dp;  // [items, classes]
  CAFFE_HD void operator()(int item, int i) const {
    const int label = ranked.class_of(item);
    T slope = T(0);
    if (label >= 0 && i - item * ranked.classes == label) {
      if (ranked.lack(item, label, s + 1) > T(0)) slope += T(1);
      if (ranked.lack(item, label, s) > T(0)) slope -= T(1);
    }
    dp[i] = slope == T(0) ? T(0) : value_of(factor) * slope;
  }
};

template <typename T>
RankedScales<T> ranked_scales(const std::vector<Blob<T>*>& bottom, float margin) {
  RankedScales<T> ranked = {};  // no byte of a kernel's argument is left undefined
  ranked.scales = static_cast<int>(bottom.size()) - 1;
  ranked.classes = bottom[0]->count(1);
  ranked.margin = T(margin);
  for (int s = 0; s < ranked.scales; ++s) ranked.p[s] = bottom[s]->active_data();
  ranked.labels = bottom.back()->active_data();
  return ranked;
}

}  // namespace

template <typename Dtype>
void ScaleRankLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const float margin = this->layer_param_.scale_rank_loss_param().margin();
  CAFFE_CHECK(margin >= 0, this->name() << "margin must not be below 0; it is " << margin);
}

template <typename Dtype>
void ScaleRankLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  const int scales = static_cast<int>(bottom.size()) - 1, items = bottom[0]->shape(0);
  CAFFE_CHECK(
      bottom[0]->num_axes() >= 2 && bottom[0]->count(1) == bottom[0]->shape(1),
      this->name() << "takes probabilities of N x K; bottom 0 is " << bottom[0]->shape_string());
  for (int s = 1; s < scales; ++s) {
    const bool same = bottom[s]->num_axes() > 0 && bottom[s]->shape(0) == items &&
                      bottom[s]->count() == bottom[0]->count();
    CAFFE_CHECK(same, this->name() << "all scales must have probabilities of the same items and "
                                   << "classes; bottom 0 is " << bottom[0]->shape_string()
                                   << " and bottom " << s << " " << bottom[s]->shape_string());
  }
  CAFFE_CHECK(bottom[scales]->count() == items,
              this->name() << "takes one label for each of the " << items << " items, in its last "
                           << "bottom; that is " << bottom[scales]->shape_string());
  terms_.Reshape({items});
}

template <typename Dtype>
void ScaleRankLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const RankedScales<Dtype> ranked =
      ranked_scales(bottom, this->layer_param_.scale_rank_loss_param().margin());
  const int items = bottom[0]->shape(0);
  const RankTerm<Dtype> term = {ranked, terms_.mutable_active_data()};
  const LabelRange range = {ranked.classes, false, 0};
  const Dtype divisor = std::max(1, items);
  if (current_device() == Device::kGPU) {
    check_labels_on_gpu(*this, *bottom.back(), range, &label_counts_);
    gpu_loss<Dtype>(items, term, term.terms, {divisor, nullptr}, top[0]->mutable_gpu_data());
    return;
  }
  count_labels(*this, *bottom.back(), range);
  parallel_rows(items, ranked.scales, term);
  top[0]->mutable_cpu_data()[0] = caffe_asum(items, term.terms) / divisor;  // none is negative
}

template <typename Dtype>
void ScaleRankLossLayer<Dtype>::Backward_any(const Blobs& top,
                                             const std::vector<bool>& propagate_down,
                                             const Blobs& bottom) {
  const RankedScales<Dtype> ranked =
      ranked_scales(bottom, this->layer_param_.scale_rank_loss_param().margin());
  const int items = bottom[0]->shape(0);
  zero_gradients(propagate_down, ranked.scales, bottom);
  for (int s = 0; s < ranked.scales; ++s) {
    if (!propagate_down[s]) continue;
    const auto run = [&](const auto& factor) {
      parallel_planes(items, ranked.classes,
                      RankGradient<Dtype, std::decay_t<decltype(factor)>>{
                          ranked, factor, s, bottom[s]->mutable_active_diff()});
    };
    if (current_device() == Device::kGPU) {
      run(LossFactor<Dtype>{Dtype(1), top[0]->gpu_diff(), {Dtype(std::max(1, items)), nullptr}});
    } else {
      run(Dtype(top[0]->cpu_diff()[0] / std::max(1, items)));
    }
  }
}

INSTANTIATE_CLASS(ScaleRankLossLayer);
REGISTER_LAYER_CLASS(ScaleRankLoss);

}  // namespace caffe
