// Deconvolution by cuDNN: its forward pass is a convolution's data gradient, its bottom's gradient
// that convolution's forward pass. A pass for which cuDNN has no plan is computed by the plain
// layer. In the math modes FP16 and BF16 it computes in float.

#include <memory>
#include <vector>

#include "caffe/layers/cudnn/conv_passes.hpp"
#include "caffe/layers/cudnn/plans.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/layers/engine_choice.hpp"

namespace caffe {
namespace cudnn {
namespace {

template <typename Dtype>
class CudnnDeconvolutionLayer : public DeconvolutionLayer<Dtype> {
 public:
  using Base = DeconvolutionLayer<Dtype>;
  using Base::Base;
  using typename Base::Blobs;
  void Reshape(const Blobs& bottom, const Blobs& top) override;

 protected:
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  static constexpr Format kPlain = {Order::kNchw, type_of<Dtype>()};
  ConvPasses<Dtype> passes_;
};

template <typename Dtype>
void CudnnDeconvolutionLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  Base::Reshape(bottom, top);
  passes_.reshape(this->num_, this->channels_, this->group_, this->geometry_);
}

template <typename Dtype>
void CudnnDeconvolutionLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  const Dtype* const weights = this->blobs_[0]->gpu_data();
  for (size_t i = 0; i < bottom.size(); ++i) {
    Dtype* const y = top[i]->mutable_gpu_data();
    if (!passes_.data_gradient(kPlain, bottom[i]->gpu_data(), weights, y)) {
      return Base::Forward_gpu(bottom, top);
    }
    if (this->bias_term_) this->forward_bias_of_all(y, this->blobs_[1]->gpu_data());
  }
}

template <typename Dtype>
void CudnnDeconvolutionLayer<Dtype>::Backward_gpu(const Blobs& top,
                                                  const vector<bool>& propagate_down,
                                                  const Blobs& bottom) {
  const Dtype* const weights = this->blobs_[0]->gpu_data();
  for (size_t i = 0; i < top.size(); ++i) {
    const Dtype* const dy = top[i]->gpu_diff();
    if (this->param_propagate_down_[0] &&
        !passes_.add_weight_gradient(kPlain, dy, bottom[i]->gpu_data(),
                                     this->blobs_[0]->mutable_gpu_diff())) {
      this->add_weight_gradient(*top[i], *bottom[i]);
    }
    if (this->bias_term_ && this->param_propagate_down_[1]) {
      this->backward_bias_of_all(this->blobs_[1]->mutable_gpu_diff(), dy);
    }
    if (propagate_down[i] && !passes_.forward(kPlain, dy, weights, bottom[i]->mutable_gpu_diff())) {
      this->compute_bottom_gradient(*top[i], bottom[i]);
    }
  }
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> make(const LayerParameter& param) {
  if (!computes(Feature::kDeconvolution)) return nullptr;
  return std::make_shared<CudnnDeconvolutionLayer<Dtype>>(param);
}

const bool offered =
    (EngineChoice<float>::offer(Library::kCudnn, "Deconvolution", make<float>),
     EngineChoice<double>::offer(Library::kCudnn, "Deconvolution", make<double>), true);

}  // namespace
}  // namespace cudnn
}  // namespace caffe
