#include "caffe/layers/detection/softmax_loss_ohem_layer.hpp"

#include "caffe/layers/zero_gradients.hpp"

namespace caffe {

template <typename Dtype>
void SoftmaxWithLossOHEMLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  SoftmaxWithLossLayer<Dtype>::Reshape(bottom, top);
  if (top.size() > 2) top[2]->ReshapeLike(*bottom[1]);
}

template <typename Dtype>
void SoftmaxWithLossOHEMLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  SoftmaxWithLossLayer<Dtype>::Forward_any(bottom, top);
  if (top.size() > 2) top[2]->ShareData(this->item_loss_);
}

template <typename Dtype>
void SoftmaxWithLossOHEMLayer<Dtype>::Backward_any(const Blobs& top,
                                                   const vector<bool>& propagate_down,
                                                   const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  SoftmaxWithLossLayer<Dtype>::Backward_any(top, {propagate_down[0], false}, bottom);
}

INSTANTIATE_CLASS(SoftmaxWithLossOHEMLayer);
REGISTER_LAYER_CLASS(SoftmaxWithLossOHEM);

}  // namespace caffe
