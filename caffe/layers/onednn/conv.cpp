// Convolution by oneDNN: 4-D blobs, any groups, strides and dilations.
//
// The learnt blobs stay row by row, as solvers and files have them. Weights are converted to
// oneDNN's layout in each pass: they are small beside the arithmetic, and whoever holds a pointer
// to them may have changed them since.

#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/primitives.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnConvolutionLayer : public ConvolutionLayer<float> {
 public:
  using Base = ConvolutionLayer<float>;
  using Base::Base;
  void Reshape(const Blobs& bottom, const Blobs& top) override;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  struct Forward {
    dnnl::convolution_forward::primitive_desc description;
    dnnl::convolution_forward primitive;
  };
  struct BackwardData {
    dnnl::convolution_backward_data::primitive_desc description;
    dnnl::convolution_backward_data primitive;
  };
  struct BackwardWeights {
    dnnl::convolution_backward_weights::primitive_desc description;
    dnnl::convolution_backward_weights primitive;
  };

  void prepare(const Blobs& bottom, const Blobs& top);
  /// Whether oneDNN serves the backward pass.
  bool prepare_backward();
  /// `gradient` is the top's.
  void backward_data(const dnnl::memory& gradient, Blob<float>* bottom);
  void backward_weights(const dnnl::memory& gradient, const Blob<float>& bottom);
  /// The weights in a layout of oneDNN's.
  dnnl::memory weights(const Layout& layout) const;

  Dims bottom_dims_, top_dims_, weight_dims_;
  Dims strides_, dilations_, pad_low_, pad_high_;
  std::unique_ptr<Forward> forward_;  // null: the plain layer computes
  std::unique_ptr<BackwardData> backward_data_;
  std::unique_ptr<BackwardWeights> backward_weights_;
  bool backward_prepared_ = false;
};

void OneDnnConvolutionLayer::Reshape(const Blobs& bottom, const Blobs& top) {
  Base::Reshape(bottom, top);
  const Dims dims = dims_of(*bottom[0]);
  if (dims == bottom_dims_) return;
  bottom_dims_ = dims;
  prepare(bottom, top);
  CAFFE_CHECK(forward_ != nullptr ||
                  layer_param_.convolution_param().engine() != ConvolutionParameter::ONEDNN,
              name() << "engine: ONEDNN: oneDNN has no fast convolution of a bottom of shape "
                     << bottom[0]->shape_string() << "; leave engine out to use what can serve");
}

void OneDnnConvolutionLayer::prepare(const Blobs& bottom, const Blobs& top) {
  forward_.reset();
  backward_data_.reset();
  backward_weights_.reset();
  backward_prepared_ = false;
  if (channel_axis_ != 1 || num_spatial_axes_ != 2 || bottom[0]->count() == 0) return;
  top_dims_ = dims_of(*top[0]);
  const Blob<float>& weights = *blobs_[0];
  weight_dims_ = dims_of(weights);
  if (group_ > 1) {
    weight_dims_[0] /= group_;
    weight_dims_.insert(weight_dims_.begin(), group_);
  }
  strides_.clear();
  dilations_.clear();
  pad_low_.clear();
  pad_high_.clear();
  for (int axis = 0; axis < 2; ++axis) {
    const int stride = stride_.cpu_data()[axis];
    const int dilation = dilation_.cpu_data()[axis];
    const int pad = pad_.cpu_data()[axis];
    const int extent = dilation * (kernel_shape_.cpu_data()[axis] - 1) + 1;
    strides_.push_back(stride);
    dilations_.push_back(dilation - 1);
    pad_low_.push_back(pad);
    // What the last window reaches, which may be less than `pad` beyond the border.
    pad_high_.push_back((top_dims_[2 + axis] - 1) * stride + extent - bottom_dims_[2 + axis] - pad);
  }
  try {
    const auto description = describe<dnnl::convolution_forward>(
        dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
        any_layout(bottom_dims_), any_layout(weight_dims_),
        bias_term_ ? plain_layout({num_output_}) : Layout(), any_layout(top_dims_), strides_,
        dilations_, pad_low_, pad_high_);
    if (!is_fast(description)) return;
    forward_.reset(new Forward{description, dnnl::convolution_forward(description)});
  } catch (const dnnl::error&) {
    // Not implemented for this shape.
  }
}

bool OneDnnConvolutionLayer::prepare_backward() {
  if (backward_prepared_) return backward_weights_ != nullptr;
  backward_prepared_ = true;
  const auto direct = dnnl::algorithm::convolution_direct;
  // The layouts of the forward pass but for the bottom's gradient: nobody made one of that yet.
  const Layout bottom = forward_->description.src_desc();
  const Layout top = forward_->description.dst_desc();
  try {
    const auto data = describe_backward<dnnl::convolution_backward_data>(
        forward_->description, direct, any_layout(bottom_dims_), any_layout(weight_dims_), top,
        strides_, dilations_, pad_low_, pad_high_);
    const auto weights = describe_backward<dnnl::convolution_backward_weights>(
        forward_->description, direct, bottom, any_layout(weight_dims_),
        bias_term_ ? plain_layout({num_output_}) : Layout(), top, strides_, dilations_, pad_low_,
        pad_high_);
    if (!is_fast(data) || !is_fast(weights)) return false;
    backward_data_.reset(new BackwardData{data, dnnl::convolution_backward_data(data)});
    backward_weights_.reset(
        new BackwardWeights{weights, dnnl::convolution_backward_weights(weights)});
  } catch (const dnnl::error&) {
    return false;  // not implemented for this shape
  }
  return true;
}

dnnl::memory OneDnnConvolutionLayer::weights(const Layout& layout) const {
  const dnnl::memory plain = plain_memory(*blobs_[0], weight_dims_);
  if (plain.get_desc() == layout) return plain;
  const dnnl::memory converted = scratch(Slot::kWeights, layout);
  reorder(plain, converted);
  return converted;
}

void OneDnnConvolutionLayer::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  if (forward_ == nullptr) return Base::Forward_cpu(bottom, top);
  const auto& description = forward_->description;
  const dnnl::memory weights = this->weights(description.weights_desc());
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Input from(*bottom[i], Part::kData, description.src_desc(), Slot::kSource);
    Output to(top[i], Part::kData, description.dst_desc());
    Arguments arguments = {
        {DNNL_ARG_SRC, from.memory()},
        {DNNL_ARG_WEIGHTS, weights},
        {DNNL_ARG_DST, to.memory()},
        {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}};
    if (bias_term_) arguments[DNNL_ARG_BIAS] = plain_memory(*blobs_[1], {num_output_});
    run(forward_->primitive, arguments);
    to.done();
  }
}

void OneDnnConvolutionLayer::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                          const Blobs& bottom) {
  if (forward_ == nullptr || !prepare_backward()) {
    return Base::Backward_cpu(top, propagate_down, bottom);
  }
  const bool learns = param_propagate_down(0) || (bias_term_ && param_propagate_down(1));
  for (size_t i = 0; i < top.size(); ++i) {
    if (!learns && !propagate_down[i]) continue;
    const Input gradient(*top[i], Part::kDiff, forward_->description.dst_desc(), Slot::kGradient);
    if (learns) backward_weights(gradient.memory(), *bottom[i]);
    if (propagate_down[i]) backward_data(gradient.memory(), bottom[i]);
  }
}

void OneDnnConvolutionLayer::backward_data(const dnnl::memory& gradient, Blob<float>* bottom) {
  const auto& description = backward_data_->description;
  Output to(bottom, Part::kDiff, description.diff_src_desc());
  run(backward_data_->primitive,
      {{DNNL_ARG_DIFF_DST, gradient},
       {DNNL_ARG_WEIGHTS, weights(description.weights_desc())},
       {DNNL_ARG_DIFF_SRC, to.memory()},
       {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}});
  to.done();
}

void OneDnnConvolutionLayer::backward_weights(const dnnl::memory& gradient,
                                              const Blob<float>& bottom) {
  const auto& description = backward_weights_->description;
  const Input from(bottom, Part::kData, description.src_desc(), Slot::kSource);
  const dnnl::memory weights = scratch(Slot::kWeightsGradient, description.diff_weights_desc());
  Arguments arguments = {
      {DNNL_ARG_SRC, from.memory()},
      {DNNL_ARG_DIFF_DST, gradient},
      {DNNL_ARG_DIFF_WEIGHTS, weights},
      {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}};
  const dnnl::memory bias = scratch(Slot::kBiasGradient, plain_layout({num_output_}));
  if (bias_term_) arguments[DNNL_ARG_DIFF_BIAS] = bias;
  run(backward_weights_->primitive, arguments);
  if (param_propagate_down(0)) {
    reorder(weights,
            dnnl::memory(plain_layout(weight_dims_), cpu_engine(), blobs_[0]->mutable_cpu_diff()),
            true);
  }
  if (bias_term_ && param_propagate_down(1)) {
    caffe_axpy(num_output_, 1.f, static_cast<const float*>(bias.get_data_handle()),
               blobs_[1]->mutable_cpu_diff());
  }
}

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  // Another number of spatial axes is seen by the length of the lists at the latest.
  const ConvolutionParameter& conv = param.convolution_param();
  if (conv.kernel_size_size() > 2 || conv.axis() != 1) return nullptr;
  return shared_ptr<Layer<float>>(new OneDnnConvolutionLayer(param));
}

const bool offered = (EngineChoice<float>::offer("Convolution", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
