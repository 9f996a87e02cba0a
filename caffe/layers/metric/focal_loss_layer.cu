#include "caffe/layers/metric/focal_loss_layer.hpp"

#include <cfloat>
#include <cmath>

#include "caffe/layers/class_items.hpp"
#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Loss and slope of an item from its label's probability.
template <typename T>
struct Focus {
  T factor, base, sign, gamma;
  CAFFE_HD T weight(T p) const {
    const T w = base + sign * p;
    return w < T(0) ? T(0) : w;
  }
  CAFFE_HD static T log_of(T p) { return std::log(p < T(FLT_MIN) ? T(FLT_MIN) : p); }
  CAFFE_HD T loss(T p) const { return -factor * std::pow(weight(p), gamma) * log_of(p); }
  /// The gradient with respect to score c is this times p_c - (c is the label).
  CAFFE_HD T slope(T p) const {
    const T w = weight(p), power = std::pow(w, gamma);
    const T bend = w == T(0) ? T(0) : sign * gamma * power / w * p * log_of(p);
    return factor * (power + bend);
  }
};

template <typename T>
struct FocalItemLoss {
  Focus<T> focus;
  ClassItems<T> items;
  T* loss;  // as label
  CAFFE_HD void operator()(int i) const {
    const int l = items.label_of(i);
    loss[i] = l < 0 ? T(0) : focus.loss(items.prob[items.at(i, l)]);
  }
};

/// The factor of an item's gradient.
template <typename T, typename Factor>
struct FocalSlope {
  Focus<T> focus;
  ClassItems<T> items;
  Factor factor;
  T* slope;  // as label
  CAFFE_HD void operator()(int i) const {
    const int l = items.label_of(i);
    slope[i] = l < 0 ? T(0) : value_of(factor) * focus.slope(items.prob[items.at(i, l)]);
  }
};

}  // namespace

template <typename Dtype>
void FocalLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const FocalLossParameter& param = this->layer_param_.focal_loss_param();
  const string& dialect = this->layer_param_.dialect();
  const bool adds = param.type() == FocalLossParameter::ONEADDP;
  const bool happynear = dialect == "happynear" || (dialect.empty() && adds);
  CAFFE_CHECK(
      happynear || param.type() == FocalLossParameter::ORIGIN,
      this->name()
          << "focal_loss_param's type must be ORIGIN"
          << (adds ? " in the dialect " + dialect : string()) << ", the loss of "
          << "the paper: no fork computes LINEAR, and ONEADDP is happynear's (-dialect happynear)");
  gamma_ = param.gamma();
  factor_ = happynear ? Dtype(1) : Dtype(param.has_alpha() ? param.alpha() : 0.25f);
  base_ = happynear ? Dtype(param.alpha()) : Dtype(1);
  sign_ = happynear && adds ? Dtype(1) : Dtype(-1);
  if (param.has_axis()) this->layer_param_.mutable_softmax_param()->set_axis(param.axis());
  SoftmaxWithLossLayer<Dtype>::LayerSetUp(bottom, top);
}

template <typename Dtype>
void FocalLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  this->softmax_layer_->Forward(this->softmax_bottom_vec_, this->softmax_top_vec_);
  const int classes = bottom[0]->shape(this->softmax_axis_), count = bottom[1]->count();
  const LabelRange range = {classes, this->has_ignore_label_, this->ignore_label_};
  const FocalItemLoss<Dtype> item = {
      {factor_, base_, sign_, gamma_},
      {classes, this->inner_num_, this->has_ignore_label_, this->ignore_label_,
       this->prob_.active_data(), bottom[1]->active_data()},
      this->item_loss_.mutable_active_data()};
  if (top.size() > 1) top[1]->ShareData(this->prob_);
  if (current_device() == Device::kGPU) {
    const int* const valid = check_labels_on_gpu(*this, *bottom[1], range, &this->label_counts_);
    gpu_loss<Dtype>(
        count, item, item.loss,
        loss_divisor<Dtype>(this->normalization_, this->outer_num_, this->inner_num_, valid,
                            this->layer_param_.loss_param().pre_fixed_normalizer()),
        top[0]->mutable_gpu_data());
    return;
  }
  this->valid_count_ = keep_count(count_labels(*this, *bottom[1], range), &this->label_counts_);
  parallel_for(count, item);
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += item.loss[i];
  top[0]->mutable_cpu_data()[0] =
      static_cast<Dtype>(sum / this->get_normalizer(this->normalization_, this->valid_count_));
}

template <typename Dtype>
void FocalLossLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  const Focus<Dtype> focus = {factor_, base_, sign_, gamma_};
  const ClassItems<Dtype> items = {bottom[0]->shape(this->softmax_axis_),
                                   this->inner_num_,
                                   this->has_ignore_label_,
                                   this->ignore_label_,
                                   this->prob_.active_data(),
                                   bottom[1]->active_data()};
  Dtype* const slope = this->item_loss_.mutable_active_diff();
  const auto run = [&](const auto& factor) {
    parallel_rows(bottom[1]->count(), items.classes,
                  FocalSlope<Dtype, std::decay_t<decltype(factor)>>{focus, items, factor, slope});
    label_gradient(this->outer_num_, items, ItemFactors<Dtype>{slope},
                   bottom[0]->mutable_active_diff());
  };
  if (current_device() == Device::kGPU) {
    run(LossFactor<Dtype>{
        Dtype(1), top[0]->gpu_diff(),
        loss_divisor<Dtype>(this->normalization_, this->outer_num_, this->inner_num_,
                            this->label_counts_.gpu_data(),
                            this->layer_param_.loss_param().pre_fixed_normalizer())});
  } else {
    run(Dtype(top[0]->cpu_diff()[0] /
              this->get_normalizer(this->normalization_,
                                   kept_count(this->label_counts_, this->valid_count_))));
  }
}

INSTANTIATE_CLASS(FocalLossLayer);
REGISTER_LAYER_CLASS(FocalLoss);

}  // namespace caffe
