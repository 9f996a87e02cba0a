#include "caffe/layers/loss_layer.hpp"

#include <algorithm>

#include "caffe/layers/in_place.hpp"

namespace caffe {

template <typename Dtype>
void LossLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs& top) {
  LayerParameter& param = this->layer_param_;
  if (param.loss_weight_size() > 0) return;
  param.add_loss_weight(1);
  while (param.loss_weight_size() < static_cast<int>(top.size())) param.add_loss_weight(0);
}

template <typename Dtype>
void LossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const bool same = bottom[0]->num_axes() > 0 && bottom[1]->num_axes() > 0 &&
                    bottom[0]->shape(0) == bottom[1]->shape(0);
  CAFFE_CHECK(same,
              this->name() << "the first axes of both bottoms must have the same length, one item "
                           << "each; they are " << bottom[0]->shape_string() << " and "
                           << bottom[1]->shape_string());
  top[0]->Reshape(vector<int>());
}

template <typename Dtype>
void LossLayer<Dtype>::refuse_gradient(const vector<bool>& propagate_down, int bottom_index) const {
  CAFFE_CHECK(!propagate_down[bottom_index],
              this->name() << "there is no gradient for bottom " << bottom_index
                           << ", the labels: set propagate_down: false for it");
}

LossParameter::NormalizationMode normalization_of(const LossParameter& param) {
  if (param.has_normalization() || !param.has_normalize()) return param.normalization();
  return param.normalize() ? LossParameter::VALID : LossParameter::BATCH_SIZE;
}

template <typename Dtype>
Dtype normalizer_of(LossParameter::NormalizationMode mode, int outer, int inner, int valid,
                    float fixed) {
  Dtype value = 1;
  switch (mode) {
    case LossParameter::FULL:
      value = Dtype(outer) * inner;
      break;
    case LossParameter::VALID:
      value = valid == -1 ? Dtype(outer) * inner : Dtype(valid);
      break;
    case LossParameter::BATCH_SIZE:
      value = Dtype(outer);
      break;
    case LossParameter::NONE:
      break;
    case LossParameter::PRE_FIXED:
      value = Dtype(fixed);
      break;
  }
  return std::max(Dtype(1), value);
}

void refuse_label(const string& layer, double label, int index, int count, int classes) {
  CAFFE_FAIL(layer << "label " << label << " (number " << index << " of " << count
                   << ") is out of range: there are " << classes << " classes, 0 to " << classes - 1
                   << "; correct the data, num_output or ignore_label");
}

template <typename Dtype>
int count_labels(const Layer<Dtype>& layer, const Blob<Dtype>& labels, const LabelRange& range) {
  const Dtype* const label = labels.cpu_data();
  int valid = 0;
  for (int i = 0; i < labels.count(); ++i) {
    if (range.has_ignore && label[i] == Dtype(range.ignore)) continue;
    if (!(label[i] >= Dtype(0) && label[i] < Dtype(range.classes))) {
      refuse_label(layer.name(), label[i], i, labels.count(), range.classes);
    }
    ++valid;
  }
  return valid;
}

#define INSTANTIATE(T)                                                                 \
  template T normalizer_of<T>(LossParameter::NormalizationMode, int, int, int, float); \
  template int count_labels<T>(const Layer<T>&, const Blob<T>&, const LabelRange&)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

INSTANTIATE_CLASS(LossLayer);

}  // namespace caffe
