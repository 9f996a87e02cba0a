#include "caffe/layers/parameter_layer.hpp"

#include "caffe/layers/learnt.hpp"
#include "caffe/util/active.hpp"

namespace caffe {

template <typename Dtype>
void ParameterLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const BlobShape& shape = this->layer_param_.parameter_param().shape();
  Blob<Dtype> checked;
  checked.Reshape(shape);
  make_learnt(*this, {{"values", checked.shape(), FillerParameter()}}, &this->blobs_);
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
void ParameterLayer<Dtype>::Reshape(const Blobs&, const Blobs& top) {
  top[0]->ReshapeLike(*this->blobs_[0]);
}

template <typename Dtype>
void ParameterLayer<Dtype>::Forward_any(const Blobs&, const Blobs& top) {
  top[0]->CopyFrom(*this->blobs_[0]);
}

template <typename Dtype>
void ParameterLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>&, const Blobs&) {
  if (!this->param_propagate_down_[0]) return;
  active_add(top[0]->count(), top[0]->active_diff(), this->blobs_[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(ParameterLayer);
REGISTER_LAYER_CLASS(Parameter);

}  // namespace caffe
