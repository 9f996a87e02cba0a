#include "caffe/layers/sequence/crnn_ctc_loss_layer.hpp"

#include "caffe/layers/sequence/labels.hpp"

namespace caffe {

template <typename Dtype>
void CtcLossLayer<Dtype>::check_shapes(const Blobs& bottom) {
  const CTCLossParameter& param = this->layer_param_.ctc_loss_param();
  const bool fits = static_cast<int>(param.time_step()) == this->steps_ &&
                    static_cast<int>(param.alphabet_size()) == this->classes_;
  CAFFE_CHECK(fits, this->name() << "ctc_loss_param must give the scores' steps and classes; they "
                                 << "are " << bottom[0]->shape_string()
                                 << ", so write time_step: " << this->steps_
                                 << " alphabet_size: " << this->classes_ << " in place of "
                                 << param.time_step() << " and " << param.alphabet_size());
  check_label_rows(*this, *bottom[1], this->items_);
}

template <typename Dtype>
int CtcLossLayer<Dtype>::blank(const Blobs& bottom) const {
  return this->blank_of(this->layer_param_.ctc_loss_param().blank_label(), *bottom[0]);
}

template <typename Dtype>
std::vector<CtcTarget> CtcLossLayer<Dtype>::targets(const Blobs& bottom) const {
  const int length = bottom[1]->count(1), left_out = blank(bottom);
  std::vector<CtcTarget> all;
  for (int n = 0; n < this->items_; ++n) {
    all.push_back({0, this->steps_, this->labels_at(*bottom[1], n * length, 1, length, left_out)});
  }
  return all;
}

INSTANTIATE_CLASS(CtcLossLayer);
REGISTER_LAYER_CLASS(CtcLoss);

}  // namespace caffe
