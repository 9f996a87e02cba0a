#include "caffe/layers/mobile/inner_convolution.hpp"

namespace caffe {

template <typename Dtype>
void InnerConvolutionLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LayerParameter param = this->layer_param_;
  param.set_type("Convolution");
  param.clear_blobs();
  param.clear_loss_weight();
  change(bottom, param.mutable_convolution_param());
  inner_ = LayerRegistry<Dtype>::CreateLayer(param);
  inner_->blobs() = this->blobs_;  // what came with the layer's parameters
  inner_->SetUp(bottom, top);
  this->blobs_ = inner_->blobs();
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void InnerConvolutionLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  inner_->ForwardWithoutLoss(bottom, top);
}

template <typename Dtype>
void InnerConvolutionLayer<Dtype>::Backward_cpu(const Blobs& top,
                                                const std::vector<bool>& propagate_down,
                                                const Blobs& bottom) {
  for (size_t i = 0; i < this->blobs_.size(); ++i) {
    inner_->set_param_propagate_down(static_cast<int>(i), this->param_propagate_down_[i]);
  }
  inner_->Backward(top, propagate_down, bottom);
}

INSTANTIATE_CLASS(InnerConvolutionLayer);

}  // namespace caffe
