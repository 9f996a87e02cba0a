// Convolution by oneDNN: 4-D blobs, any groups, strides and dilations.
//
// The learnt blobs stay row by row, as in solvers and files. Weights are converted to oneDNN's
// layout in each pass: this is cheap compared with the arithmetic, and a holder of a pointer to the
// weights may have changed them since the last pass.
//
// 3x3 windows with stride 1 use Winograd's algorithm if oneDNN has it (AVX-512): F(4x4, 3x3) needs
// a quarter of the multiplications, with an error of about 1e-6 of the largest value. Measured on
// one core, the time of direct convolution divided by Winograd's, forward and both gradients, 4
// images at a time: 64 channels of 224x224 2.0, 2.0, 1.2; 128 of 112x112 1.8, 1.9, 1.6; 256 of
// 56x56 2.6, 2.6, 2.2; 512 of 28x28 2.4, 2.5, 2.2; but 512 of 7x7 0.5, 0.5, 1.1, since transforming
// the weights costs more than is saved. The transformed images take four times the memory, so only
// a few images are processed at a time; more than 4 are no faster.
//
// Each of the two gradients is chosen separately: if oneDNN has no fast code for it, the plain
// layer computes it, which converts the top's gradient. On a CPU without AVX-512 this concerns the
// gradient of a bottom with few channels if the stride is more than 1, that is, of the first
// layer's images, which training does not need. Padding the channels to a block of 8 would save the
// conversion but cost more. Median ms of 15 runs, 2 cores, AVX2, AlexNet's conv1 with 16 images and
// ResNet's with 4: conversion 1.0 and 0.5, product of matrices 19.6 and 6.0; padded 47.0 and 11.5.
// The same holds for the weights if the bottom is a gray image (LeNet's conv1, 64 images: 2.0 in
// the plain layer, 12.2 padded).

#include <algorithm>
#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/primitives.hpp"

namespace caffe {
namespace onednn {
namespace {

constexpr auto kWinograd = dnnl::algorithm::convolution_winograd;
constexpr int kWinogradBlock = 16;   // of channels
constexpr int kWinogradImages = 4;   // the most at a time
constexpr int kWinogradTiles = 96;   // of 4x4 values; the fewest at a time
constexpr int kWinogradScratch = 3;  // the most, as a multiple of the size of bottom and top

Dims with_images(Dims dims, int images) {
  dims[0] = images;
  return dims;
}

/// A layout that describe() requests.
Layout layout_for(dnnl::algorithm algorithm, const Dims& dims, int images, const Layout& direct) {
  return algorithm == kWinograd ? blocked_layout(with_images(dims, images), kWinogradBlock)
                                : direct;
}

/// The layout of all images, given `part`, the layout of some of them.
Layout whole(const Layout& part, const Dims& dims) {
  return dims_of(part) == dims ? part : blocked_layout(dims, kWinogradBlock);
}

/// Run number `index` of images in `all`.
dnnl::memory slice(const dnnl::memory& all, const Layout& part, int index) {
  return dnnl::memory(part, cpu_engine(),
                      static_cast<char*>(all.get_data_handle()) + index * part.get_size());
}

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
  template <typename Primitive>
  struct Pass {
    typename Primitive::primitive_desc description;
    Primitive primitive;
    int images;  // images at a time; a divisor of the batch
  };

  void prepare(const Blobs& bottom, const Blobs& top);
  void prepare_backward();
  /// Winograd's algorithm if it suits and is `allowed`, else direct convolution, or null if oneDNN
  /// has no fast code. `describe(algorithm, images)` gives a description for that many images.
  template <typename Primitive, typename Describe>
  std::unique_ptr<Pass<Primitive>> choose(bool allowed, const Describe& describe) const;
  template <typename Primitive, typename Describe>
  std::unique_ptr<Pass<Primitive>> attempt(dnnl::algorithm algorithm, int images,
                                           const Describe& describe) const;
  bool is_for_winograd() const;
  template <typename Primitive>
  int parts(const Pass<Primitive>& pass) const {
    return static_cast<int>(bottom_dims_[0]) / pass.images;
  }
  /// `gradient` is the top's.
  void backward_data(const dnnl::memory& gradient, Blob<float>* bottom);
  void backward_weights(const dnnl::memory& gradient, const Blob<float>& bottom);
  /// Adds to the gradients of the parameters.
  void add_weights(const dnnl::memory& weights, const dnnl::memory& bias);
  /// The weights in a layout of oneDNN's.
  dnnl::memory weights(const Layout& layout) const;

  Dims bottom_dims_, top_dims_, weight_dims_;
  Dims strides_, dilations_, pad_low_, pad_high_;
  Layout bottom_layout_, top_layout_;  // of the forward pass
  // Null: the plain layer computes it.
  std::unique_ptr<Pass<dnnl::convolution_forward>> forward_;
  std::unique_ptr<Pass<dnnl::convolution_backward_data>> backward_data_;
  std::unique_ptr<Pass<dnnl::convolution_backward_weights>> backward_weights_;
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
                     << bottom[0]->shape_string() << "; remove engine to use the default");
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
  const Layout bias = bias_term_ ? plain_layout({num_output_}) : Layout();
  forward_ = choose<dnnl::convolution_forward>(true, [&](dnnl::algorithm algorithm, int images) {
    return describe<dnnl::convolution_forward>(
        dnnl::prop_kind::forward_training, algorithm,
        layout_for(algorithm, bottom_dims_, images, any_layout(bottom_dims_)),
        any_layout(weight_dims_), bias,
        layout_for(algorithm, top_dims_, images, any_layout(top_dims_)), strides_, dilations_,
        pad_low_, pad_high_);
  });
  if (forward_ == nullptr) return;
  bottom_layout_ = whole(forward_->description.src_desc(), bottom_dims_);
  top_layout_ = whole(forward_->description.dst_desc(), top_dims_);
}

void OneDnnConvolutionLayer::prepare_backward() {
  if (backward_prepared_) return;
  backward_prepared_ = true;
  // The layouts of the forward pass, except for the bottom's gradient, which does not have one yet.
  const bool blocked = channel_block(bottom_layout_) == kWinogradBlock &&
                       channel_block(top_layout_) == kWinogradBlock;
  const Layout bias = bias_term_ ? plain_layout({num_output_}) : Layout();
  backward_data_ =
      choose<dnnl::convolution_backward_data>(blocked, [&](dnnl::algorithm algorithm, int images) {
        return describe_backward<dnnl::convolution_backward_data>(
            forward_->description, algorithm,
            layout_for(algorithm, bottom_dims_, images, any_layout(bottom_dims_)),
            any_layout(weight_dims_), layout_for(algorithm, top_dims_, images, top_layout_),
            strides_, dilations_, pad_low_, pad_high_);
      });
  backward_weights_ = choose<dnnl::convolution_backward_weights>(
      blocked, [&](dnnl::algorithm algorithm, int images) {
        return describe_backward<dnnl::convolution_backward_weights>(
            forward_->description, algorithm,
            layout_for(algorithm, bottom_dims_, images, bottom_layout_), any_layout(weight_dims_),
            bias, layout_for(algorithm, top_dims_, images, top_layout_), strides_, dilations_,
            pad_low_, pad_high_);
      });
}

bool OneDnnConvolutionLayer::is_for_winograd() const {
  const Dims ones = {1, 1}, zeros = {0, 0};
  return group_ == 1 && strides_ == ones && dilations_ == zeros && weight_dims_[2] == 3 &&
         weight_dims_[3] == 3 && weight_dims_[0] % kWinogradBlock == 0 &&
         weight_dims_[1] % kWinogradBlock == 0;
}

template <typename Primitive, typename Describe>
std::unique_ptr<OneDnnConvolutionLayer::Pass<Primitive>> OneDnnConvolutionLayer::attempt(
    dnnl::algorithm algorithm, int images, const Describe& describe) const {
  const maap::NoFork while_locked;  // oneDNN's cache of primitives
  try {
    const auto description = describe(algorithm, images);
    if (!is_fast(description)) return nullptr;
    return std::unique_ptr<Pass<Primitive>>(
        new Pass<Primitive>{description, Primitive(description), images});
  } catch (const dnnl::error&) {
    return nullptr;  // not implemented for this shape
  }
}

template <typename Primitive, typename Describe>
std::unique_ptr<OneDnnConvolutionLayer::Pass<Primitive>> OneDnnConvolutionLayer::choose(
    bool allowed, const Describe& describe) const {
  const int all = static_cast<int>(bottom_dims_[0]);
  const auto tiles = ((top_dims_[2] + 3) / 4) * ((top_dims_[3] + 3) / 4);
  const size_t room = kWinogradScratch *
                      (plain_layout(bottom_dims_).get_size() + plain_layout(top_dims_).get_size());
  const bool suits = allowed && is_for_winograd();
  for (int images = suits ? std::min(all, kWinogradImages) : 0; images > 0; --images) {
    if (all % images != 0 || images * tiles < kWinogradTiles) continue;
    auto pass = attempt<Primitive>(kWinograd, images, describe);
    if (pass == nullptr) break;  // not supported with fewer images either
    if (pass->description.scratchpad_desc().get_size() <= room) return pass;
  }
  return attempt<Primitive>(dnnl::algorithm::convolution_direct, all, describe);
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
  Arguments arguments = {{DNNL_ARG_WEIGHTS, weights}};
  if (bias_term_) arguments[DNNL_ARG_BIAS] = plain_memory(*blobs_[1], {num_output_});
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Input from(*bottom[i], Part::kData, bottom_layout_, Slot::kSource);
    Output to(top[i], Part::kData, top_layout_);
    // After the conversions, which also use scratch memory.
    arguments[DNNL_ARG_SCRATCHPAD] = scratch(Slot::kPrimitive, description.scratchpad_desc());
    for (int part = 0; part < parts(*forward_); ++part) {
      arguments[DNNL_ARG_SRC] = slice(from.memory(), description.src_desc(), part);
      arguments[DNNL_ARG_DST] = slice(to.memory(), description.dst_desc(), part);
      run(forward_->primitive, arguments);
    }
    to.done();
  }
}

void OneDnnConvolutionLayer::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                          const Blobs& bottom) {
  if (forward_ == nullptr) return Base::Backward_cpu(top, propagate_down, bottom);
  prepare_backward();
  const bool learns = param_propagate_down(0) || (bias_term_ && param_propagate_down(1));
  for (size_t i = 0; i < top.size(); ++i) {
    const bool weights_here = learns && backward_weights_ != nullptr;
    const bool data_here = propagate_down[i] && backward_data_ != nullptr;
    if (weights_here || data_here) {
      const Input gradient(*top[i], Part::kDiff, top_layout_, Slot::kGradient);
      if (weights_here) backward_weights(gradient.memory(), *bottom[i]);
      if (data_here) backward_data(gradient.memory(), bottom[i]);
    }
    if (learns && !weights_here) add_learnt_gradients(*top[i], *bottom[i]);
    if (propagate_down[i] && !data_here) compute_bottom_gradient(*top[i], bottom[i]);
  }
}

void OneDnnConvolutionLayer::backward_data(const dnnl::memory& gradient, Blob<float>* bottom) {
  const auto& description = backward_data_->description;
  Output to(bottom, Part::kDiff, whole(description.diff_src_desc(), bottom_dims_));
  const dnnl::memory weights = this->weights(description.weights_desc());
  for (int part = 0; part < parts(*backward_data_); ++part) {
    run(backward_data_->primitive,
        {{DNNL_ARG_DIFF_DST, slice(gradient, description.diff_dst_desc(), part)},
         {DNNL_ARG_WEIGHTS, weights},
         {DNNL_ARG_DIFF_SRC, slice(to.memory(), description.diff_src_desc(), part)},
         {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}});
  }
  to.done();
}

void OneDnnConvolutionLayer::backward_weights(const dnnl::memory& gradient,
                                              const Blob<float>& bottom) {
  const auto& description = backward_weights_->description;
  const Input from(bottom, Part::kData, bottom_layout_, Slot::kSource);
  const dnnl::memory weights = scratch(Slot::kWeightsGradient, description.diff_weights_desc());
  const dnnl::memory bias = scratch(Slot::kBiasGradient, plain_layout({num_output_}));
  for (int part = 0; part < parts(*backward_weights_); ++part) {
    Arguments arguments = {
        {DNNL_ARG_SRC, slice(from.memory(), description.src_desc(), part)},
        {DNNL_ARG_DIFF_DST, slice(gradient, description.diff_dst_desc(), part)},
        {DNNL_ARG_DIFF_WEIGHTS, weights},
        {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}};
    if (bias_term_) arguments[DNNL_ARG_DIFF_BIAS] = bias;
    run(backward_weights_->primitive, arguments);
    add_weights(weights, bias);
  }
}

void OneDnnConvolutionLayer::add_weights(const dnnl::memory& weights, const dnnl::memory& bias) {
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
  // A different number of spatial axes shows at the latest in the length of the lists.
  const ConvolutionParameter& conv = param.convolution_param();
  if (conv.kernel_size_size() > 2 || conv.axis() != 1) return nullptr;
  return shared_ptr<Layer<float>>(new OneDnnConvolutionLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "Convolution", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
