#include "caffe/layers/sequence/ctc_loss_layer.hpp"

#include <algorithm>

#include "caffe/layers/sequence/labels.hpp"

namespace caffe {

template <typename Dtype>
void CTCLossLayer<Dtype>::check_shapes(const Blobs& bottom) {
  check_indicators(*this, *bottom[1], this->steps_, this->items_);
  check_label_columns(*this, *bottom[2], this->items_);
  const int delay = this->layer_param_.ctc_loss_param().output_delay();
  CAFFE_CHECK(delay >= 0, this->name() << "ctc_loss_param's output_delay is " << delay
                                       << "; it must be 0 or more");
}

template <typename Dtype>
int CTCLossLayer<Dtype>::blank(const Blobs& bottom) const {
  const LayerParameter& param = this->layer_param_;
  int index = param.ctc_loss_param().blank_index();
  if (!param.ctc_loss_param().has_blank_index()) {
    index = param.dialect() == "caffe_ocr" || param.dialect() == "license_plate" ? 0 : -1;
  }
  return this->blank_of(index, *bottom[0]);
}

template <typename Dtype>
bool CTCLossLayer<Dtype>::merge_repeated() const {
  return this->layer_param_.ctc_loss_param().ctc_merge_repeated();
}

template <typename Dtype>
std::vector<CtcTarget> CTCLossLayer<Dtype>::targets(const Blobs& bottom) const {
  const CTCLossParameter& param = this->layer_param_.ctc_loss_param();
  const int items = this->items_;
  std::vector<CtcTarget> all(items);
  for (int n = 0; n < items; ++n) {
    CtcTarget& target = all[n];
    target.end = indicated_length(*bottom[1], n, this->steps_, items);
    target.begin = std::min(param.output_delay(), target.end);
    target.labels = this->labels_at(*bottom[2], n, items, bottom[2]->shape(0));
    if (param.preprocess_collapse_repeated()) {
      target.labels.erase(std::unique(target.labels.begin(), target.labels.end()),
                          target.labels.end());
    }
  }
  return all;
}

INSTANTIATE_CLASS(CTCLossLayer);
REGISTER_LAYER_CLASS(CTCLoss);

}  // namespace caffe
