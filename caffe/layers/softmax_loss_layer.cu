#include "caffe/layers/softmax_loss_layer.hpp"

#include <cfloat>
#include <cmath>
#include <typeinfo>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/class_items.hpp"
#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/softmax_layer.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct SoftmaxLoss {
  ClassItems<T> items;
  T* loss;  // as label
  CAFFE_HD void operator()(int i) const {
    const int l = items.label_of(i);
    if (l < 0) {
      loss[i] = T(0);
      return;
    }
    const T p = items.prob[items.at(i, l)];
    loss[i] = -std::log(p < T(FLT_MIN) ? T(FLT_MIN) : p);  // NaN stays NaN
  }
};

}  // namespace

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  LayerParameter param(this->layer_param_);
  param.set_type("Softmax");
  param.clear_loss_weight();
  softmax_layer_ = LayerRegistry<Dtype>::CreateLayer(param);
  softmax_bottom_vec_ = {bottom[0]};
  softmax_top_vec_ = {&prob_};
  softmax_layer_->SetUp(softmax_bottom_vec_, softmax_top_vec_);
  has_ignore_label_ = this->layer_param_.loss_param().has_ignore_label();
  ignore_label_ = this->layer_param_.loss_param().ignore_label();
  normalization_ = normalization_of(this->layer_param_.loss_param());
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  softmax_bottom_vec_ = {bottom[0]};
  softmax_layer_->Reshape(softmax_bottom_vec_, softmax_top_vec_);
  softmax_axis_ = axis_of(*this, *bottom[0], this->layer_param_.softmax_param().axis());
  outer_num_ = bottom[0]->count(0, softmax_axis_);
  inner_num_ = bottom[0]->count(softmax_axis_ + 1);
  CAFFE_CHECK(bottom[1]->count() == outer_num_ * inner_num_,
              this->name() << "takes one label for each item: the scores are "
                           << bottom[0]->shape_string() << " with the classes on axis "
                           << softmax_axis_ << ", so there must be " << outer_num_ * inner_num_
                           << " labels; the labels are " << bottom[1]->shape_string());
  item_loss_.Reshape(bottom[1]->shape());
  if (top.size() > 1) top[1]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
bool SoftmaxWithLossLayer<Dtype>::all_on_gpu() const {
  return current_device() == Device::kGPU && typeid(*this) == typeid(SoftmaxWithLossLayer);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  softmax_layer_->Forward(softmax_bottom_vec_, softmax_top_vec_);
  const int classes = bottom[0]->shape(softmax_axis_), count = bottom[1]->count();
  const LabelRange range = {classes, has_ignore_label_, ignore_label_};
  const SoftmaxLoss<Dtype> item = {{classes, inner_num_, has_ignore_label_, ignore_label_,
                                    prob_.active_data(), bottom[1]->active_data()},
                                   item_loss_.mutable_active_data()};
  if (top.size() > 1) top[1]->ShareData(prob_);
  if (all_on_gpu()) {
    const int* const valid = check_labels_on_gpu(*this, *bottom[1], range, &label_counts_);
    gpu_loss<Dtype>(count, item, item.loss,
                    loss_divisor<Dtype>(normalization_, outer_num_, inner_num_, valid,
                                        this->layer_param_.loss_param().pre_fixed_normalizer()),
                    top[0]->mutable_gpu_data());
    return;
  }
  valid_count_ = keep_count(count_labels(*this, *bottom[1], range), &label_counts_);
  parallel_for(count, item);
  const Dtype sum = caffe_asum(count, item_loss_.active_data());  // none is negative
  top[0]->mutable_cpu_data()[0] = sum / get_normalizer(normalization_, valid_count_);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                               const Blobs& bottom) {
  this->refuse_gradient(propagate_down, 1);
  if (!propagate_down[0]) return;
  const ClassItems<Dtype> items = {bottom[0]->shape(softmax_axis_),
                                   inner_num_,
                                   has_ignore_label_,
                                   ignore_label_,
                                   prob_.active_data(),
                                   bottom[1]->active_data()};
  const auto run = [&](const auto& factor) {
    label_gradient(outer_num_, items, factor, bottom[0]->mutable_active_diff());
  };
  if (all_on_gpu()) {
    run(LossFactor<Dtype>{
        Dtype(1), top[0]->gpu_diff(),
        loss_divisor<Dtype>(normalization_, outer_num_, inner_num_, label_counts_.gpu_data(),
                            this->layer_param_.loss_param().pre_fixed_normalizer())});
  } else {
    valid_count_ = kept_count(label_counts_, valid_count_);
    run(Dtype(top[0]->cpu_diff()[0] / get_normalizer(normalization_, valid_count_)));
  }
}

INSTANTIATE_CLASS(SoftmaxWithLossLayer);
REGISTER_LAYER_CLASS(SoftmaxWithLoss);

}  // namespace caffe
