#include "caffe/layers/infogain_loss_layer.hpp"

#include <cmath>
#include <cstdint>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/class_items.hpp"
#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct InfogainLoss {
  ClassItems<T> items;
  T least;
  const T* gain;  // [classes x classes]
  T* loss;        // as label
  template <typename Team>
  CAFFE_HD void operator()(int i, const Team& team) const {
    const int l = items.label_of(i);
    T sum = T(0);
    for (int c = team.rank(); c < items.classes && l >= 0; c += team.size()) {
      const T p = items.prob[items.at(i, c)];
      sum -= gain[l * items.classes + c] * std::log(p < least ? least : p);  // NaN stays NaN
    }
    sum = team.sum(sum);
    if (team.rank() == 0) loss[i] = sum;
  }
};

/// dx_c = factor (p_c sum of H(label, .) - H(label, c))
template <typename T, typename Factor>
struct InfogainGradient {
  ClassItems<T> items;
  Factor factor;
  const T* gain;
  T* dx;
  template <typename Team>
  CAFFE_HD void operator()(int i, const Team& team) const {
    const int l = items.label_of(i), classes = items.classes;
    const T by = value_of(factor);
    T sum = T(0);
    for (int c = team.rank(); c < classes && l >= 0; c += team.size()) sum += gain[l * classes + c];
    sum = team.sum(sum);
    for (int c = team.rank(); c < classes; c += team.size()) {
      const int64_t at = items.at(i, c);
      dx[at] = l < 0 ? T(0) : by * (items.prob[at] * sum - gain[l * classes + c]);
    }
  }
};

}  // namespace

template <typename Dtype>
void InfogainLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const InfogainLossParameter& param = this->layer_param_.infogain_loss_param();
  LayerParameter softmax(this->layer_param_);
  softmax.set_type("Softmax");
  softmax.clear_loss_weight();
  softmax.mutable_softmax_param()->set_axis(param.axis());
  softmax_layer_ = LayerRegistry<Dtype>::CreateLayer(softmax);
  softmax_bottom_ = {bottom[0]};
  softmax_top_ = {&prob_};
  softmax_layer_->SetUp(softmax_bottom_, softmax_top_);
  const LossParameter& loss = this->layer_param_.loss_param();
  has_ignore_ = loss.has_ignore_label();
  ignore_ = loss.ignore_label();
  normalization_ = normalization_of(loss);
  if (bottom.size() > 2) return;
  CAFFE_CHECK(param.has_source(), this->name() << "needs the infogain matrix: a third bottom, or "
                                               << "infogain_loss_param { source: FILE }");
  read_gains(param.source());
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::read_gains(const std::string& file) {
  BlobProto proto;
  ReadProtoFromBinaryFile(file, &proto);
  try {
    infogain_.FromProto(proto);
  } catch (const Error& error) {
    throw Error(this->name() + file + ": " + error.what());
  }
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  softmax_bottom_ = {bottom[0]};
  softmax_layer_->Reshape(softmax_bottom_, softmax_top_);
  axis_ = axis_of(*this, *bottom[0], this->layer_param_.infogain_loss_param().axis());
  outer_ = bottom[0]->count(0, axis_);
  inner_ = bottom[0]->count(axis_ + 1);
  const int64_t classes = bottom[0]->shape(axis_);
  CAFFE_CHECK(bottom[1]->count() == outer_ * inner_,
              this->name() << "takes one label for each item: the scores are "
                           << bottom[0]->shape_string() << " with the classes on axis " << axis_
                           << ", so there must be " << outer_ * inner_ << " labels; the labels are "
                           << bottom[1]->shape_string());
  CAFFE_CHECK(gains(bottom).count() == classes * classes,
              this->name() << "the infogain matrix must be " << classes << " x " << classes
                           << ", as there are " << classes << " classes; it is "
                           << gains(bottom).shape_string());
  item_loss_.Reshape(bottom[1]->shape());
  if (top.size() > 1) top[1]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  softmax_layer_->Forward(softmax_bottom_, softmax_top_);
  const int count = bottom[1]->count(), classes = bottom[0]->shape(axis_);
  const LabelRange range = {classes, has_ignore_, ignore_};
  const InfogainLoss<Dtype> item = {
      {classes, inner_, has_ignore_, ignore_, prob_.active_data(), bottom[1]->active_data()},
      Dtype(kLOG_THRESHOLD),
      gains(bottom).active_data(),
      item_loss_.mutable_active_data()};
  if (top.size() > 1) top[1]->ShareData(prob_);
  if (current_device() == Device::kGPU) {
    const int* const valid = check_labels_on_gpu(*this, *bottom[1], range, &label_counts_);
    gpu_loss_of_items<Dtype>(
        count, classes, inner_, item, item.loss,
        loss_divisor<Dtype>(normalization_, outer_, inner_, valid,
                            this->layer_param_.loss_param().pre_fixed_normalizer()),
        top[0]->mutable_gpu_data());
    return;
  }
  const int valid = keep_count(count_labels(*this, *bottom[1], range), &label_counts_);
  parallel_items(count, classes, inner_, item);
  Dtype sum = 0;
  const Dtype* const loss = item_loss_.cpu_data();
  for (int i = 0; i < item_loss_.count(); ++i) sum += loss[i];
  top[0]->mutable_cpu_data()[0] =
      sum / normalizer_of<Dtype>(normalization_, outer_, inner_, valid,
                                 this->layer_param_.loss_param().pre_fixed_normalizer());
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Backward_any(const Blobs& top,
                                            const std::vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  this->refuse_gradient(propagate_down, 1);
  CAFFE_CHECK(bottom.size() < 3 || !propagate_down[2],
              this->name() << "there is no gradient for bottom 2, the infogain matrix: set "
                           << "propagate_down: false for it");
  if (!propagate_down[0]) return;
  const ClassItems<Dtype> items = {
      bottom[0]->shape(axis_), inner_, has_ignore_, ignore_, prob_.active_data(),
      bottom[1]->active_data()};
  const auto run = [&](const auto& factor) {
    parallel_items(
        bottom[1]->count(), items.classes, inner_,
        InfogainGradient<Dtype, std::decay_t<decltype(factor)>>{
            items, factor, gains(bottom).active_data(), bottom[0]->mutable_active_diff()});
  };
  if (current_device() == Device::kGPU) {
    run(LossFactor<Dtype>{
        Dtype(1), top[0]->gpu_diff(),
        loss_divisor<Dtype>(normalization_, outer_, inner_, label_counts_.gpu_data(),
                            this->layer_param_.loss_param().pre_fixed_normalizer())});
  } else {
    run(Dtype(top[0]->cpu_diff()[0] /
              normalizer_of<Dtype>(normalization_, outer_, inner_, label_counts_.cpu_data()[0],
                                   this->layer_param_.loss_param().pre_fixed_normalizer())));
  }
}

INSTANTIATE_CLASS(InfogainLossLayer);
REGISTER_LAYER_CLASS(InfogainLoss);

}  // namespace caffe
