#include "caffe/layers/conv_layer.hpp"

#include "caffe/layers/engine_choice.hpp"

namespace caffe {

template <typename Dtype>
void ConvolutionLayer<Dtype>::compute_output_shape() {
  this->output_shape_.clear();
  for (int a = 0; a < this->num_spatial_axes_; ++a) {
    this->output_shape_.push_back(conv_output_size(
        this->input_shape(a + 1), this->kernel_shape_.cpu_data()[a], this->pad_.cpu_data()[a],
        this->stride_.cpu_data()[a], this->dilation_.cpu_data()[a]));
  }
}

template <typename Dtype>
void ConvolutionLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Dtype* const weights = this->blobs_[0]->active_data();
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Dtype* const x = bottom[i]->active_data();
    Dtype* const y = top[i]->mutable_active_data();
    for (int n = 0; n < this->num_; ++n) {
      this->forward_gemm(x + n * this->bottom_dim_, weights, y + n * this->top_dim_);
      if (this->bias_term_) {
        this->forward_bias(y + n * this->top_dim_, this->blobs_[1]->active_data());
      }
    }
  }
}

template <typename Dtype>
void ConvolutionLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                           const Blobs& bottom) {
  for (size_t i = 0; i < top.size(); ++i) {
    add_learnt_gradients(*top[i], *bottom[i]);
    if (propagate_down[i]) compute_bottom_gradient(*top[i], bottom[i]);
  }
}

template <typename Dtype>
void ConvolutionLayer<Dtype>::add_learnt_gradients(const Blob<Dtype>& top,
                                                   const Blob<Dtype>& bottom) {
  if (this->bias_term_ && this->param_propagate_down_[1]) {
    const Dtype* const dy = top.active_diff();
    Dtype* const bias_diff = this->blobs_[1]->mutable_active_diff();
    for (int n = 0; n < this->num_; ++n) this->backward_bias(bias_diff, dy + n * this->top_dim_);
  }
  if (this->param_propagate_down_[0]) {
    const Dtype* const dy = top.active_diff();
    const Dtype* const x = bottom.active_data();
    Dtype* const weights_diff = this->blobs_[0]->mutable_active_diff();
    for (int n = 0; n < this->num_; ++n) {
      this->weight_gemm(x + n * this->bottom_dim_, dy + n * this->top_dim_, weights_diff);
    }
  }
}

template <typename Dtype>
void ConvolutionLayer<Dtype>::compute_bottom_gradient(const Blob<Dtype>& top, Blob<Dtype>* bottom) {
  const Dtype* const weights = this->blobs_[0]->active_data();
  const Dtype* const dy = top.active_diff();
  Dtype* const dx = bottom->mutable_active_diff();
  for (int n = 0; n < this->num_; ++n) {
    this->backward_gemm(dy + n * this->top_dim_, weights, dx + n * this->bottom_dim_);
  }
}

INSTANTIATE_CLASS(ConvolutionLayer);
REGISTER_LAYER_WITH_ENGINE(Convolution, convolution_param);

}  // namespace caffe
