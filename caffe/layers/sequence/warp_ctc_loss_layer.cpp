#include "caffe/layers/sequence/warp_ctc_loss_layer.hpp"

#include "caffe/layers/sequence/labels.hpp"

namespace caffe {

template <typename Dtype>
void WarpCTCLossLayer<Dtype>::check_shapes(const Blobs& bottom) {
  const int steps = this->steps_, items = this->items_;
  columns_ = bottom.size() > 2;
  if (bottom.size() == 3) {
    indicators_ =
        is_matrix(*bottom[1], steps, items) || !is_matrix(*bottom[2], steps, items) ? 1 : 2;
    check_indicators(*this, *bottom[indicators_], steps, items);
    const Blob<Dtype>& labels = *bottom[3 - indicators_];
    columns_ = labels.num_axes() >= 2 && labels.count(1) == items;
  } else if (bottom.size() == 4) {
    CAFFE_CHECK(bottom[1]->count() == items && bottom[2]->count() == items,
                this->name() << "bottoms 1 and 2 must give the lengths of the scores and of the "
                             << "labels of each of the " << items << " items; they are "
                             << bottom[1]->shape_string() << " and " << bottom[2]->shape_string());
  }
  const Blob<Dtype>& labels = *bottom[bottom.size() == 3 ? 3 - indicators_ : bottom.size() - 1];
  if (columns_) {
    check_label_columns(*this, labels, items);
  } else {
    check_label_rows(*this, labels, items);
  }
}

template <typename Dtype>
int WarpCTCLossLayer<Dtype>::blank(const Blobs& bottom) const {
  const CTCLossParameter& param = this->layer_param_.ctc_loss_param();
  const int index = param.has_blank_index() ? param.blank_index() : 0;
  return this->blank_of(index, *bottom[0]);
}

template <typename Dtype>
std::vector<CtcTarget> WarpCTCLossLayer<Dtype>::indicated_targets(const Blobs& bottom) const {
  const Blob<Dtype>& labels = *bottom[3 - indicators_];
  const int items = this->items_, length = labels.count() / items;
  const int shift = blank(bottom) == 0 ? 1 : 0;
  std::vector<CtcTarget> all(items);
  for (int n = 0; n < items; ++n) {
    all[n].begin = 0;
    all[n].end = indicated_length(*bottom[indicators_], n, this->steps_, items);
    all[n].labels = this->labels_at(labels, columns_ ? n : n * length, columns_ ? items : 1, length,
                                    shift == 0 ? blank(bottom) : -1);
    for (int& label : all[n].labels) label += shift;
  }
  return all;
}

template <typename Dtype>
std::vector<CtcTarget> WarpCTCLossLayer<Dtype>::counted_targets(const Blobs& bottom) const {
  const int items = this->items_, length = bottom[3]->shape(0);
  std::vector<CtcTarget> all(items);
  for (int n = 0; n < items; ++n) {
    const int end =
        whole_number(*this, "lengths of the scores", bottom[1]->cpu_data()[n], n, 0, this->steps_);
    const int count =
        whole_number(*this, "lengths of the labels", bottom[2]->cpu_data()[n], n, 0, length);
    all[n] = {0, end, this->labels_at(*bottom[3], n, items, count)};
  }
  return all;
}

template <typename Dtype>
std::vector<CtcTarget> WarpCTCLossLayer<Dtype>::targets(const Blobs& bottom) const {
  if (bottom.size() == 3) return indicated_targets(bottom);
  if (bottom.size() == 4) return counted_targets(bottom);
  const int length = bottom[1]->count(1), left_out = blank(bottom);
  std::vector<CtcTarget> all;
  for (int n = 0; n < this->items_; ++n) {
    all.push_back({0, this->steps_, this->labels_at(*bottom[1], n * length, 1, length, left_out)});
  }
  return all;
}

INSTANTIATE_CLASS(WarpCTCLossLayer);
REGISTER_LAYER_CLASS(WarpCTCLoss);

}  // namespace caffe
