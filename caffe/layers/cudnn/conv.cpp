// Convolution by cuDNN: up to 3 spatial axes, any groups, strides and dilations, float and double.
// A pass for which cuDNN has no plan is computed by the plain layer. Where gpu_order() is kNhwc and
// cuDNN takes it, the values have their channels last. In the math modes FP16 and BF16 they have
// that and 16 bits each; sums and the bias are float, the weights' gradient becomes float.

#include <atomic>
#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/cudnn/conv_passes.hpp"
#include "caffe/layers/cudnn/plans.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/takes_followers.hpp"
#include "caffe/util/gpu_capability.hpp"
#include "caffe/util/mixed_gemm.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {
namespace cudnn {
namespace {

/// Without the tensor cores, cuDNN has slow kernels alone for floats with their channels last.
void warn_of_slow_order() {
  static std::atomic<bool> is_said{false};
  if (gpu_order() != Order::kNhwc || (rounds_to_tf32() && device::capability() >= 80)) return;
  if (is_half(multiplied_type<float>()) || is_said.exchange(true)) return;
  LOG(WARNING)
      << "CAFFE_GPU_LAYOUT=NHWC makes float convolutions slow, except in math mode TF32, or "
         "with CAFFE_TF32=1, on a GPU from Ampere on";
}

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
  Format format() const;
  template <typename T>
  bool forward_all(const Values<Dtype, T>& values, const Blobs& bottom, const Blobs& top);
  bool forward_fused(Format format, const Dtype* x, const Dtype* w, Dtype* y);
  template <typename T>
  bool add_gradients(const Values<Dtype, T>& values, const Blob<Dtype>& top,
                     const Blob<Dtype>& bottom);

  ConvPasses<Dtype> passes_;
  const bool fuses_ = computes(Feature::kFusion);
};

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  Base::Reshape(bottom, top);
  passes_.reshape(this->num_, this->num_output_, this->group_, this->geometry_);
  if (Caffe::mode() == Caffe::GPU) warn_of_slow_order();
}

template <typename Dtype>
Format CudnnConvolutionLayer<Dtype>::format() const {
  constexpr ValueType kOwn = type_of<Dtype>();
  const Format half = {Order::kNhwc, multiplied_type<Dtype>()}, last = {Order::kNhwc, kOwn};
  const bool first_axis = this->channel_axis_ == 1;
  if (is_half(half.type) && first_axis && passes_.takes(half)) return half;
  if (gpu_order() == Order::kNhwc && first_axis && passes_.takes(last)) return last;
  return {Order::kNchw, kOwn};
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  bool done = false;
  with_values<Dtype>(format(), [&](auto values) { done = forward_all(values, bottom, top); });
  if (!done) Base::Forward_gpu(bottom, top);
}

template <typename Dtype>
template <typename T>
bool CudnnConvolutionLayer<Dtype>::forward_all(const Values<Dtype, T>& values, const Blobs& bottom,
                                               const Blobs& top) {
  const Format format = values.format();
  for (size_t i = 0; i < bottom.size(); ++i) {
    const T* const x = values.data(*bottom[i]);
    const T* const w = values.data(*this->blobs_[0]);
    T* const y = values.mutable_data(top[i]);
    if constexpr (!Values<Dtype, T>::kHalf) {
      if (fuses_ && this->bias_term_ && forward_fused(format, x, w, y)) continue;
    }
    if (!passes_.forward(format, x, w, y)) return false;
    if (this->bias_term_) {
      this->forward_bias_of_all(y, this->blobs_[1]->gpu_data(), format.order == Order::kNhwc);
    }
  }
  return true;
}

/// With the bias and, where the net wants it, the ReLU; false if cuDNN cannot.
template <typename Dtype>
bool CudnnConvolutionLayer<Dtype>::forward_fused(Format format, const Dtype* x, const Dtype* w,
                                                 Dtype* y) {
  const Dtype* const bias = this->blobs_[1]->gpu_data();
  const bool relu = !this->followers().empty() && is_plain_relu(*this->followers()[0]);
  if (relu && passes_.forward_fused(format, x, w, bias, true, y)) {
    this->take(1, TakesFollowers<Dtype>::Gradient::kApart);
    return true;
  }
  return passes_.forward_fused(format, x, w, bias, false, y);
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Backward_gpu(const Blobs& top,
                                                const vector<bool>& propagate_down,
                                                const Blobs& bottom) {
  with_values<Dtype>(format(), [&](auto values) {
    for (size_t i = 0; i < top.size(); ++i) {
      if (!add_gradients(values, *top[i], *bottom[i])) {
        Base::add_learnt_gradients(*top[i], *bottom[i]);
      }
      if (!propagate_down[i]) continue;
      const auto* const dy = values.diff(*top[i]);
      if (!passes_.data_gradient(values.format(), dy, values.data(*this->blobs_[0]),
                                 values.mutable_diff(bottom[i]))) {
        this->compute_bottom_gradient(*top[i], bottom[i]);
      }
    }
  });
}

/// False, with nothing done, if cuDNN has no plan.
template <typename Dtype>
template <typename T>
bool CudnnConvolutionLayer<Dtype>::add_gradients(const Values<Dtype, T>& values,
                                                 const Blob<Dtype>& top,
                                                 const Blob<Dtype>& bottom) {
  const T* const dy = values.diff(top);
  if (this->param_propagate_down_[0] &&
      !passes_.add_weight_gradient(values.format(), values.data(bottom), dy,
                                   this->blobs_[0]->mutable_gpu_diff())) {
    return false;
  }
  if (this->bias_term_ && this->param_propagate_down_[1]) {
    this->backward_bias_of_all(this->blobs_[1]->mutable_gpu_diff(), dy,
                               values.order == Order::kNhwc);
  }
  return true;
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
