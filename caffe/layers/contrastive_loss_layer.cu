#include "caffe/layers/contrastive_loss_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Whether the integer part is not 0.
template <typename T>
CAFFE_HD inline bool is_similar(T y) {
  return !(y > T(-1) && y < T(1));
}

template <typename T>
struct SquaredDistance {
  int channels;
  const T *a, *b;  // [items x channels]
  T* squared;      // [items]
  template <typename Team>
  CAFFE_HD void operator()(int item, const Team& team) const {
    const int64_t begin = int64_t(item) * channels, end = begin + channels;
    T sum = T(0);
    for (int64_t i = begin + team.rank(); i < end; i += team.size()) {
      const T d = a[i] - b[i];
      sum += d * d;
    }
    sum = team.sum(sum);
    if (team.rank() == 0) squared[item] = sum;
  }
};

/// A pair's part of the sum.
template <typename T>
struct PairLoss {
  using Value = T;
  T margin;
  bool legacy;
  const T* squared;  // [items]
  const T* similar;  // [items]
  template <typename W>
  CAFFE_HD W first(int, int item) const {
    if (is_similar(similar[item])) return squared[item];
    const T gap = margin - (legacy ? squared[item] : std::sqrt(squared[item]));
    if (!(gap > T(0))) return gap == gap ? T(0) : gap;  // NaN stays NaN
    return legacy ? gap : gap * gap;
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

/// The gradient with respect to a or, with a negative factor, to b.
template <typename T, typename Factor>
struct PairGradient {
  T margin;
  Factor factor;
  bool legacy;
  const T *a, *b;
  const T* similar;  // [items]
  const T* squared;  // [items]
  T* dx;             // as a
  CAFFE_HD void operator()(int item, int i) const {
    T slope = T(1);
    if (!is_similar(similar[item])) {
      const T d = std::sqrt(squared[item]);
      if (legacy) {
        slope = margin - squared[item] > T(0) ? T(-1) : T(0);
      } else {
        slope = margin - d > T(0) ? (d - margin) / (d + T(1e-4)) : T(0);
      }
    }
    dx[i] = value_of(factor) * slope * (a[i] - b[i]);
  }
};

}  // namespace

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CAFFE_CHECK(bottom[0]->count() == bottom[1]->count(),
              this->name() << "the first two bottoms must have the same size; they are "
                           << bottom[0]->shape_string() << " and " << bottom[1]->shape_string());
  CAFFE_CHECK(bottom[2]->count() == bottom[0]->shape(0),
              this->name() << "bottom 2 must say for each of the " << bottom[0]->shape(0)
                           << " pairs whether it is similar; it is " << bottom[2]->shape_string());
  squared_.Reshape({bottom[0]->shape(0)});
}

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const ContrastiveLossParameter& param = this->layer_param_.contrastive_loss_param();
  const int items = bottom[0]->shape(0), channels = bottom[0]->count(1);
  const SquaredDistance<Dtype> distance = {
      channels, bottom[0]->active_data(), bottom[1]->active_data(), squared_.mutable_active_data()};
  if (current_device() == Device::kGPU) {
    gpu_total_of_items(
        items, channels, 1, distance,
        PairLoss<Dtype>{Dtype(param.margin()), param.legacy_version(), distance.squared,
                        bottom[2]->gpu_data()},
        StoreLoss<Dtype>{{Dtype(items), nullptr}, Dtype(2), top[0]->mutable_gpu_data()});
    return;
  }
  parallel_items(items, channels, 1, distance);
  const Dtype* const squared = squared_.cpu_data();
  const Dtype* const similar = bottom[2]->cpu_data();
  const Dtype margin = param.margin();
  Dtype sum = 0;
  for (int i = 0; i < items; ++i) {
    if (is_similar(similar[i])) {
      sum += squared[i];
    } else if (param.legacy_version()) {
      sum += std::max(margin - squared[i], Dtype(0));
    } else {
      const Dtype gap = std::max(margin - std::sqrt(squared[i]), Dtype(0));
      sum += gap * gap;
    }
  }
  top[0]->mutable_cpu_data()[0] = sum / items / Dtype(2);
}

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Backward_any(const Blobs& top,
                                               const std::vector<bool>& propagate_down,
                                               const Blobs& bottom) {
  CAFFE_CHECK(!propagate_down[2],
              this->name() << "there is no gradient for bottom 2, which says which pairs are "
                           << "similar: set propagate_down: false for it");
  const ContrastiveLossParameter& param = this->layer_param_.contrastive_loss_param();
  const int items = bottom[0]->shape(0), channels = bottom[0]->count(1);
  for (int k = 0; k < 2; ++k) {
    if (!propagate_down[k]) continue;
    const Dtype sign = k == 0 ? Dtype(1) : Dtype(-1);
    const auto run = [&](const auto& factor) {
      parallel_planes(
          items, channels,
          PairGradient<Dtype, std::decay_t<decltype(factor)>>{
              Dtype(param.margin()), factor, param.legacy_version(), bottom[0]->active_data(),
              bottom[1]->active_data(), bottom[2]->active_data(), squared_.active_data(),
              bottom[k]->mutable_active_diff()});
    };
    if (current_device() == Device::kGPU) {
      run(LossFactor<Dtype>{sign, top[0]->gpu_diff(), {Dtype(items), nullptr}});
    } else {
      run(Dtype(sign * top[0]->cpu_diff()[0] / items));
    }
  }
}

INSTANTIATE_CLASS(ContrastiveLossLayer);
REGISTER_LAYER_CLASS(ContrastiveLoss);

}  // namespace caffe
