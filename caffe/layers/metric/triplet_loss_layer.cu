#include "caffe/layers/metric/triplet_loss_layer.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct TripletTerm {
  int length;
  T margin;
  const T *a, *p, *n;  // [items, length]
  T* terms;            // [items]
  template <typename Team>
  CAFFE_HD void operator()(int item, const Team& team) const {
    const int64_t begin = int64_t(item) * length, end = begin + length;
    T sum = team.rank() == 0 ? margin : T(0);
    for (int64_t i = begin + team.rank(); i < end; i += team.size()) {
      const T near = a[i] - p[i], far = a[i] - n[i];
      sum += near * near - far * far;
    }
    sum = team.sum(sum);
    if (team.rank() == 0) terms[item] = sum < T(0) ? T(0) : sum;  // NaN stays NaN
  }
};

/// factor (minus - plus), for items that are not yet apart.
template <typename T, typename Factor>
struct TripletGradient {
  Factor factor;
  const T *minus, *plus;  // [items, length]
  const T* terms;         // [items]
  T* dx;                  // as minus
  CAFFE_HD void operator()(int item, int i) const {
    dx[i] = terms[item] < T(1e-9) ? T(0) : value_of(factor) * (plus[i] - minus[i]);
  }
};

}  // namespace

template <typename Dtype>
void TripletLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  for (int k = 1; k < 3; ++k) {
    const bool same = bottom[k]->num_axes() > 0 && bottom[k]->shape(0) == bottom[0]->shape(0) &&
                      bottom[k]->count() == bottom[0]->count();
    CAFFE_CHECK(same, this->name()
                          << "anchor, positive and negative must have the same number of "
                          << "items, of the same size; bottom 0 is " << bottom[0]->shape_string()
                          << " and bottom " << k << " " << bottom[k]->shape_string());
  }
  terms_.Reshape({bottom[0]->shape(0)});
}

template <typename Dtype>
void TripletLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int items = bottom[0]->shape(0), length = bottom[0]->count(1);
  const TripletTerm<Dtype> term = {length,
                                   Dtype(this->layer_param_.triplet_loss_param().margin()),
                                   bottom[0]->active_data(),
                                   bottom[1]->active_data(),
                                   bottom[2]->active_data(),
                                   terms_.mutable_active_data()};
  const Dtype divisor = Dtype(2) * std::max(1, items);
  if (current_device() == Device::kGPU) {
    gpu_loss_of_items<Dtype>(items, length, 1, term, term.terms, {divisor, nullptr},
                             top[0]->mutable_gpu_data());
    return;
  }
  parallel_items(items, length, 1, term);
  top[0]->mutable_cpu_data()[0] = caffe_asum(items, term.terms) / divisor;  // none is negative
}

template <typename Dtype>
void TripletLossLayer<Dtype>::Backward_any(const Blobs& top,
                                           const std::vector<bool>& propagate_down,
                                           const Blobs& bottom) {
  const int items = bottom[0]->shape(0), length = bottom[0]->count(1);
  // The gradient of each bottom is (plus - minus) / N: n - p, p - a and a - n.
  const int plus[] = {2, 1, 0}, minus[] = {1, 0, 2};
  for (int k = 0; k < 3; ++k) {
    if (!propagate_down[k]) continue;
    const auto run = [&](const auto& factor) {
      parallel_planes(items, length,
                      TripletGradient<Dtype, std::decay_t<decltype(factor)>>{
                          factor, bottom[minus[k]]->active_data(), bottom[plus[k]]->active_data(),
                          terms_.active_data(), bottom[k]->mutable_active_diff()});
    };
    if (current_device() == Device::kGPU) {
      run(LossFactor<Dtype>{Dtype(1), top[0]->gpu_diff(), {Dtype(items), nullptr}});
    } else {
      run(Dtype(top[0]->cpu_diff()[0] / items));
    }
  }
}

INSTANTIATE_CLASS(TripletLossLayer);
REGISTER_LAYER_CLASS(TripletLoss);

}  // namespace caffe
