// Convolution by cuDNN: up to 3 spatial axes, any groups, strides and dilations, float and double.
// A pass for which cuDNN has no plan is computed by the plain layer. Where gpu_order() is kNhwc and
// cuDNN takes it, the values have their channels last.

#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/cudnn/conv_passes.hpp"
#include "caffe/layers/cudnn/plans.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/takes_followers.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {
namespace cudnn {
namespace {

template <typename Dtype>
class CudnnConvolutionLayer : public ConvolutionLayer<Dtype>, public TakesFollowers<Dtype> {
 public:
  using Base = ConvolutionLayer<Dtype>;
  using Base::Base;
  using typename Base::Blobs;
  void Reshape(const Blobs& bottom, const Blobs& top) override;

 protected:
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Order order() const;
  const Dtype* weights(Order order) const { return data_in(order, *this->blobs_[0]); }
  bool forward_fused(Order order, const Dtype* x, Dtype* y);
  void add_gradients(Order order, const Blob<Dtype>& top, const Blob<Dtype>& bottom);

  ConvPasses<Dtype> passes_;
  const bool fuses_ = computes(Feature::kFusion);
};

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  Base::Reshape(bottom, top);
  passes_.reshape(this->num_, this->num_output_, this->group_, this->geometry_);
}

template <typename Dtype>
Order CudnnConvolutionLayer<Dtype>::order() const {
  const bool last =
      gpu_order() == Order::kNhwc && this->channel_axis_ == 1 && passes_.takes(Order::kNhwc);
  return last ? Order::kNhwc : Order::kNchw;
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  const Order order = this->order();
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Dtype* const x = data_in(order, *bottom[i]);
    Dtype* const y = mutable_data_in(order, top[i]);
    if (fuses_ && this->bias_term_ && forward_fused(order, x, y)) continue;
    if (!passes_.forward(order, x, weights(order), y)) return Base::Forward_gpu(bottom, top);
    if (this->bias_term_) {
      this->forward_bias_of_all(y, this->blobs_[1]->gpu_data(), order == Order::kNhwc);
    }
  }
}

/// With the bias and, where the net wants it, the ReLU; false if cuDNN cannot.
template <typename Dtype>
bool CudnnConvolutionLayer<Dtype>::forward_fused(Order order, const Dtype* x, Dtype* y) {
  const Dtype* const bias = this->blobs_[1]->gpu_data();
  const bool relu = !this->followers().empty() && is_plain_relu(*this->followers()[0]);
  if (relu && passes_.forward_fused(order, x, weights(order), bias, true, y)) {
    this->take(1, TakesFollowers<Dtype>::Gradient::kApart);
    return true;
  }
  return passes_.forward_fused(order, x, weights(order), bias, false, y);
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Backward_gpu(const Blobs& top,
                                                const vector<bool>& propagate_down,
                                                const Blobs& bottom) {
  const Order order = this->order();
  for (size_t i = 0; i < top.size(); ++i) {
    add_gradients(order, *top[i], *bottom[i]);
    if (!propagate_down[i]) continue;
    const Dtype* const dy = diff_in(order, *top[i]);
    if (!passes_.data_gradient(order, dy, weights(order), mutable_diff_in(order, bottom[i]))) {
      this->compute_bottom_gradient(*top[i], bottom[i]);
    }
  }
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::add_gradients(Order order, const Blob<Dtype>& top,
                                                 const Blob<Dtype>& bottom) {
  const Dtype* const dy = diff_in(order, top);
  if (this->param_propagate_down_[0] &&
      !passes_.add_weight_gradient(order, data_in(order, bottom), dy,
                                   this->blobs_[0]->mutable_gpu_diff())) {
    return Base::add_learnt_gradients(top, bottom);
  }
  if (this->bias_term_ && this->param_propagate_down_[1]) {
    this->backward_bias_of_all(this->blobs_[1]->mutable_gpu_diff(), dy, order == Order::kNhwc);
  }
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> make(const LayerParameter& param) {
  if (!computes(Feature::kConvolution)) return nullptr;
  return std::make_shared<CudnnConvolutionLayer<Dtype>>(param);
}

const bool offered =
    (EngineChoice<float>::offer(Library::kCudnn, "Convolution", make<float>),
     EngineChoice<double>::offer(Library::kCudnn, "Convolution", make<double>), true);

}  // namespace
}  // namespace cudnn
}  // namespace caffe
