// Convolution by cuDNN: 2 or 3 spatial axes, any groups, strides and dilations, float and double.
// A pass for which cuDNN has no plan is computed by the plain layer.

#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/cudnn/conv_plan.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {
namespace cudnn {
namespace {

template <typename Dtype>
class CudnnConvolutionLayer : public ConvolutionLayer<Dtype> {
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
  bool is_supported() const;
  /// Null: the plain layer computes it.
  const ConvPlan* plan(ConvPass pass);
  void add_weight_gradient(const ConvPlan& plan, const Blob<Dtype>& top, const Blob<Dtype>& bottom);

  ConvShape shape_;
  Blob<Dtype> weight_gradient_;  // of one call, before it is added
};

vector<int64_t> lengths(const Blob<int>& blob) {
  return vector<int64_t>(blob.cpu_data(), blob.cpu_data() + blob.count());
}

vector<int64_t> lengths(const vector<int>& shape) {
  return vector<int64_t>(shape.begin(), shape.end());
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  Base::Reshape(bottom, top);
  const vector<int64_t> x = lengths(bottom[0]->shape());
  if (x == shape_.x) return;
  shape_.is_double = sizeof(Dtype) == sizeof(double);
  shape_.x = x;
  shape_.w = lengths(this->blobs_[0]->shape());
  shape_.y = lengths(top[0]->shape());
  shape_.pad = lengths(this->pad_);
  shape_.stride = lengths(this->stride_);
  shape_.dilation = lengths(this->dilation_);
}

template <typename Dtype>
bool CudnnConvolutionLayer<Dtype>::is_supported() const {
  const int axes = this->num_spatial_axes_;
  if (this->channel_axis_ != 1 || axes < 2 || axes > 3) return false;
  for (const int64_t length : shape_.y) {
    if (length == 0) return false;
  }
  return shape_.x[1] > 0;
}

template <typename Dtype>
const ConvPlan* CudnnConvolutionLayer<Dtype>::plan(ConvPass pass) {
  return is_supported() ? ConvPlan::find(pass, shape_).get() : nullptr;
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  const ConvPlan* const forward = plan(ConvPass::kForward);
  if (forward == nullptr) return Base::Forward_gpu(bottom, top);
  const Dtype* const weights = this->blobs_[0]->gpu_data();
  for (size_t i = 0; i < bottom.size(); ++i) {
    Dtype* const y = top[i]->mutable_gpu_data();
    forward->run(bottom[i]->gpu_data(), weights, y);
    if (this->bias_term_) this->forward_bias_of_all(y, this->blobs_[1]->gpu_data());
  }
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::Backward_gpu(const Blobs& top,
                                                const vector<bool>& propagate_down,
                                                const Blobs& bottom) {
  const bool learns = this->param_propagate_down_[0];
  const ConvPlan* const of_weights = learns ? plan(ConvPass::kWeights) : nullptr;
  for (size_t i = 0; i < top.size(); ++i) {
    if (learns && of_weights == nullptr) {
      this->add_learnt_gradients(*top[i], *bottom[i]);
    } else {
      if (learns) add_weight_gradient(*of_weights, *top[i], *bottom[i]);
      if (this->bias_term_ && this->param_propagate_down_[1]) {
        this->backward_bias_of_all(this->blobs_[1]->mutable_gpu_diff(), top[i]->gpu_diff());
      }
    }
    if (!propagate_down[i]) continue;
    const ConvPlan* const of_data = plan(ConvPass::kData);
    if (of_data == nullptr) {
      this->compute_bottom_gradient(*top[i], bottom[i]);
    } else {
      of_data->run(top[i]->gpu_diff(), this->blobs_[0]->gpu_data(), bottom[i]->mutable_gpu_diff());
    }
  }
}

template <typename Dtype>
void CudnnConvolutionLayer<Dtype>::add_weight_gradient(const ConvPlan& plan, const Blob<Dtype>& top,
                                                       const Blob<Dtype>& bottom) {
  weight_gradient_.ReshapeLike(*this->blobs_[0]);
  plan.run(bottom.gpu_data(), top.gpu_diff(), weight_gradient_.mutable_gpu_data());
  caffe_gpu_axpy(weight_gradient_.count(), Dtype(1), weight_gradient_.gpu_data(),
                 this->blobs_[0]->mutable_gpu_diff());
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> make(const LayerParameter& param) {
  return std::make_shared<CudnnConvolutionLayer<Dtype>>(param);
}

const bool offered =
    (EngineChoice<float>::offer(Library::kCudnn, "Convolution", make<float>),
     EngineChoice<double>::offer(Library::kCudnn, "Convolution", make<double>), true);

}  // namespace
}  // namespace cudnn
}  // namespace caffe
