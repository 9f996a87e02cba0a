#include "caffe/layers/metric/scale_rank_loss_layer.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// What labels say, and the margin.
template <typename T>
struct Ranking {
  int classes;
  T margin;
  const T* labels;  // [items]
  /// Where the probability of an item's class is, or -1: on a GPU wrong labels are found late.
  CAFFE_HD int64_t true_class(int item) const {
    const int label = static_cast<int>(labels[item]);
    return label >= 0 && label < classes ? static_cast<int64_t>(item) * classes + label : -1;
  }
  /// What the finer scale's probability lacks to be above the coarser's by the margin.
  CAFFE_HD T lack(T coarser, T finer) const {
    const T value = coarser - finer + margin;
    return value < T(0) ? T(0) : value;  // NaN stays NaN
  }
};

template <typename T>
struct RankTerm {
  static constexpr int kMostScales = ScaleRankLossLayer<T>::kMostScales;
  Ranking<T> ranking;
  int scales;
  const T* p[kMostScales];  // [items, classes] each
  T* terms;                 // [items]
  CAFFE_HD void operator()(int item) const {
    const int64_t at = ranking.true_class(item);
    T sum = T(0);
    // A fixed number of turns: an index known to the compiler keeps p out of local memory.
    for (int s = 1; s < kMostScales; ++s) {
      if (at >= 0 && s < scales) sum += ranking.lack(p[s - 1][at], p[s][at]);
    }
    terms[item] = sum;
  }
};

/// The gradient of one scale: 1 where the next lacks something, -1 where it does itself.
template <typename T, typename Factor>
struct RankGradient {
  Ranking<T> ranking;
  Factor factor;
  const T *coarser, *p, *finer;  // [items, classes]; null: there is no such scale
  T* dp;                         // [items, classes]
  CAFFE_HD void operator()(int item, int i) const {
    T slope = T(0);
    if (i == ranking.true_class(item)) {
      if (finer != nullptr && ranking.lack(p[i], finer[i]) > T(0)) slope += T(1);
      if (coarser != nullptr && ranking.lack(coarser[i], p[i]) > T(0)) slope -= T(1);
    }
    dp[i] = slope == T(0) ? T(0) : value_of(factor) * slope;
  }
};

template <typename T>
Ranking<T> ranking_of(const std::vector<Blob<T>*>& bottom, float margin) {
  Ranking<T> ranking = {};  // no byte of a kernel's argument is left undefined
  ranking.classes = bottom[0]->count(1);
  ranking.margin = T(margin);
  ranking.labels = bottom.back()->active_data();
  return ranking;
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
  const int items = bottom[0]->shape(0), scales = static_cast<int>(bottom.size()) - 1;
  RankTerm<Dtype> term = {};
  term.ranking = ranking_of(bottom, this->layer_param_.scale_rank_loss_param().margin());
  term.scales = scales;
  for (int s = 0; s < scales; ++s) term.p[s] = bottom[s]->active_data();
  term.terms = terms_.mutable_active_data();
  const LabelRange range = {term.ranking.classes, false, 0};
  const Dtype divisor = std::max(1, items);
  if (current_device() == Device::kGPU) {
    check_labels_on_gpu(*this, *bottom.back(), range, &label_counts_);
    gpu_loss<Dtype>(items, term, term.terms, {divisor, nullptr}, top[0]->mutable_gpu_data());
    return;
  }
  count_labels(*this, *bottom.back(), range);
  parallel_rows(items, scales, term);
  top[0]->mutable_cpu_data()[0] = caffe_asum(items, term.terms) / divisor;  // none is negative
}

template <typename Dtype>
void ScaleRankLossLayer<Dtype>::Backward_any(const Blobs& top,
                                             const std::vector<bool>& propagate_down,
                                             const Blobs& bottom) {
  const Ranking<Dtype> ranking =
      ranking_of(bottom, this->layer_param_.scale_rank_loss_param().margin());
  const int items = bottom[0]->shape(0), scales = static_cast<int>(bottom.size()) - 1;
  const auto scale = [&](int s) {
    return s < 0 || s >= scales ? nullptr : bottom[s]->active_data();
  };
  zero_gradients(propagate_down, scales, bottom);
  for (int s = 0; s < scales; ++s) {
    if (!propagate_down[s]) continue;
    const auto run = [&](const auto& factor) {
      parallel_planes(items, ranking.classes,
                      RankGradient<Dtype, std::decay_t<decltype(factor)>>{
                          ranking, factor, scale(s - 1), scale(s), scale(s + 1),
                          bottom[s]->mutable_active_diff()});
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
