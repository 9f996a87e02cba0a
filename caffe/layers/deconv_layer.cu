#include "caffe/layers/deconv_layer.hpp"

#include <cstdint>
#include <limits>

#include "caffe/layers/engine_choice.hpp"

namespace caffe {

template <typename Dtype>
void DeconvolutionLayer<Dtype>::compute_output_shape() {
  this->output_shape_.clear();
  for (int a = 0; a < this->num_spatial_axes_; ++a) {
    const int extent = this->dilation_.cpu_data()[a] * (this->kernel_shape_.cpu_data()[a] - 1) + 1;
    const int64_t length =
        static_cast<int64_t>(this->stride_.cpu_data()[a]) * (this->input_shape(a + 1) - 1) +
        extent - 2 * this->pad_.cpu_data()[a];
    CAFFE_CHECK(length <= std::numeric_limits<int>::max(),
                this->name() << "an axis of " << length << " values is too long");
    this->output_shape_.push_back(static_cast<int>(length));
  }
}

template <typename Dtype>
void DeconvolutionLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Dtype* const weights = this->blobs_[0]->active_data();
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Dtype* const x = bottom[i]->active_data();
    Dtype* const y = top[i]->mutable_active_data();
    for (int n = 0; n < this->num_; ++n) {
      this->backward_gemm(x + n * this->bottom_dim_, weights, y + n * this->top_dim_);
      if (this->bias_term_) {
        this->forward_bias(y + n * this->top_dim_, this->blobs_[1]->active_data());
      }
    }
  }
}

template <typename Dtype>
void DeconvolutionLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                             const Blobs& bottom) {
  const Dtype* const weights = this->blobs_[0]->active_data();
  const bool weights_too = this->param_propagate_down_[0];
  for (size_t i = 0; i < top.size(); ++i) {
    const Dtype* const dy = top[i]->active_diff();
    if (this->bias_term_ && this->param_propagate_down_[1]) {
      Dtype* const bias_diff = this->blobs_[1]->mutable_active_diff();
      for (int n = 0; n < this->num_; ++n) {
        this->backward_bias(bias_diff, dy + n * this->top_dim_);
      }
    }
    for (int n = 0; n < this->num_; ++n) {
      const Dtype* const dy_n = dy + n * this->top_dim_;
      if (weights_too) {
        this->weight_gemm(dy_n, bottom[i]->active_data() + n * this->bottom_dim_,
                          this->blobs_[0]->mutable_active_diff());
      }
      if (propagate_down[i]) {  // using the columns that weight_gemm computed
        this->forward_gemm(dy_n, weights, bottom[i]->mutable_active_diff() + n * this->bottom_dim_,
                           weights_too);
      }
    }
  }
}

template <typename Dtype>
void DeconvolutionLayer<Dtype>::add_weight_gradient(const Blob<Dtype>& top,
                                                    const Blob<Dtype>& bottom) {
  const Dtype* const dy = top.active_diff();
  const Dtype* const x = bottom.active_data();
  Dtype* const weights_diff = this->blobs_[0]->mutable_active_diff();
  for (int n = 0; n < this->num_; ++n) {
    this->weight_gemm(dy + n * this->top_dim_, x + n * this->bottom_dim_, weights_diff);
  }
}

template <typename Dtype>
void DeconvolutionLayer<Dtype>::compute_bottom_gradient(const Blob<Dtype>& top,
                                                        Blob<Dtype>* bottom) {
  const Dtype* const weights = this->blobs_[0]->active_data();
  const Dtype* const dy = top.active_diff();
  Dtype* const dx = bottom->mutable_active_diff();
  for (int n = 0; n < this->num_; ++n) {
    this->forward_gemm(dy + n * this->top_dim_, weights, dx + n * this->bottom_dim_);
  }
}

INSTANTIATE_CLASS(DeconvolutionLayer);
REGISTER_LAYER_WITH_ENGINE(Deconvolution, convolution_param);

}  // namespace caffe
