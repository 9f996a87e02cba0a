#include "caffe/layers/sigmoid_cross_entropy_loss_layer.hpp"

#include <cmath>
#include <typeinfo>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct CrossEntropy {
  bool has_ignore;
  int ignore;
  const T* x;
  const T* target;
  T* loss;
  T* counts;
  CAFFE_HD void operator()(int i) const {
    // NaN as an integer is another number on each kind of processor; it is never ignored.
    const bool ignored =
        has_ignore && target[i] == target[i] && static_cast<int>(target[i]) == ignore;
    const T far = x[i] < T(0) ? x[i] : -x[i];  // its exp does not overflow
    const T positive = x[i] < T(0) ? T(0) : x[i];
    loss[i] = ignored ? T(0) : positive - x[i] * target[i] + std::log1p(std::exp(far));
    counts[i] = ignored ? T(0) : T(1);
  }
};

/// The sums of the losses and of the targets that count.
template <typename T>
struct CrossEntropyTerms {
  using Value = T;
  CrossEntropy<T> item;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    item(i);
    return item.loss[i];
  }
  template <typename W>
  CAFFE_HD W second(int, int i) const {
    return item.counts[i];
  }
};

template <typename T>
struct StoreItems {
  LossDivisor<T> divisor;
  int* valid;
  T* loss;
  CAFFE_HD void operator()(int, T sum, T counting) const {
    *valid = static_cast<int>(counting);
    *loss = sum / divisor.get();
  }
};

template <typename T, typename Factor>
struct CrossEntropyGradient {
  Factor factor;
  const T* x;
  const T* target;
  const T* counts;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const T p = T(0.5) * std::tanh(T(0.5) * x[i]) + T(0.5);
    dx[i] = counts[i] == T(0) ? T(0) : value_of(factor) * (p - target[i]);
  }
};

}  // namespace

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const LossParameter& param = this->layer_param_.loss_param();
  has_ignore_label_ = param.has_ignore_label();
  ignore_label_ = param.ignore_label();
  const bool given = param.has_normalization() || param.has_normalize();
  normalization_ = given ? normalization_of(param) : LossParameter::BATCH_SIZE;
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CAFFE_CHECK(bottom[0]->count() == bottom[1]->count(),
              this->name() << "takes one target for each score; they are "
                           << bottom[0]->shape_string() << " and " << bottom[1]->shape_string());
  outer_num_ = bottom[0]->shape(0);
  inner_num_ = bottom[0]->count(1);
  item_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
bool SigmoidCrossEntropyLossLayer<Dtype>::all_on_gpu() const {
  return current_device() == Device::kGPU && typeid(*this) == typeid(SigmoidCrossEntropyLossLayer);
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int count = bottom[0]->count();
  const CrossEntropy<Dtype> item = {has_ignore_label_,           ignore_label_,
                                    bottom[0]->active_data(),    bottom[1]->active_data(),
                                    item_.mutable_active_data(), item_.mutable_active_diff()};
  if (all_on_gpu()) {
    valid_.Reshape(vector<int>{1});
    int* const valid = valid_.mutable_gpu_data();
    gpu_total(count, CrossEntropyTerms<Dtype>{item},
              StoreItems<Dtype>{
                  loss_divisor<Dtype>(normalization_, outer_num_, inner_num_, valid,
                                      this->layer_param_.loss_param().pre_fixed_normalizer()),
                  valid, top[0]->mutable_gpu_data()});
    return;
  }
  parallel_for(count, item);
  const int valid = keep_count(
      has_ignore_label_ ? static_cast<int>(caffe_asum(count, item_.active_diff())) : count,
      &valid_);
  normalizer_ = get_normalizer(normalization_, valid);
  // Not a sum of absolute values: a target beyond [0, 1] may have a loss below 0.
  const Dtype sum = caffe_dot(count, item_.active_data(), item_.active_diff());
  top[0]->mutable_cpu_data()[0] = sum / normalizer_;
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Backward_any(const Blobs& top,
                                                       const vector<bool>& propagate_down,
                                                       const Blobs& bottom) {
  this->refuse_gradient(propagate_down, 1);
  if (!propagate_down[0]) return;
  const auto run = [&](const auto& factor) {
    parallel_for(bottom[0]->count(), CrossEntropyGradient<Dtype, std::decay_t<decltype(factor)>>{
                                         factor, bottom[0]->active_data(), bottom[1]->active_data(),
                                         item_.active_diff(), bottom[0]->mutable_active_diff()});
  };
  if (all_on_gpu()) {
    run(LossFactor<Dtype>{
        Dtype(1), top[0]->gpu_diff(),
        loss_divisor<Dtype>(normalization_, outer_num_, inner_num_, valid_.gpu_data(),
                            this->layer_param_.loss_param().pre_fixed_normalizer())});
  } else {
    // A derived class may have a forward pass of its own.
    if (valid_.count() > 0) normalizer_ = get_normalizer(normalization_, valid_.cpu_data()[0]);
    run(Dtype(top[0]->cpu_diff()[0] / normalizer_));
  }
}

INSTANTIATE_CLASS(SigmoidCrossEntropyLossLayer);
REGISTER_LAYER_CLASS(SigmoidCrossEntropyLoss);

}  // namespace caffe
