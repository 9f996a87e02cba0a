// Convolution by oneDNN: 4-D blobs, any groups, strides and dilations.
//
// The learnt blobs stay row by row, as in solvers and files. Weights that learn are converted to
// the form that a pass needs each time; others are kept in that form where it is allowed
// (caffe/layers/keeps_weights.hpp). The convolution computes the ReLU behind it and, while testing,
// other layers, too (conv_folding.hpp).
//
// In the math mode BF16 bottoms, tops, their gradients and the weights are given to oneDNN as
// bfloat16 numbers, and gradients of weights come as floats. Of the engine's own code, which is for
// floats, Winograd's algorithm is used where it is faster all the same.
//
// Windows of 3x3 and 5x5 with stride 1 use the engine's own Winograd algorithm where it is faster
// (conv_winograd.hpp); each pass is chosen separately. While testing, windows of 1x1 with stride 1
// use the engine's own product (conv_pointwise.hpp), and a Concat behind may have the convolution
// write into its top (blocked_room.hpp). Some gradients of windows of 1x1 are the engine's own as
// well (conv_pointwise_gradients.hpp).
//
// If oneDNN has no fast code for one of the two gradients, the plain layer computes it, which
// converts the top's gradient. On a CPU without AVX-512 this concerns the gradient of a bottom with
// few channels if the stride is more than 1, that is, of the first layer's images, which training
// does not need. Padding the channels to a block of 8 would save the conversion but cost more.
// Median ms of 15 runs, 2 cores, AVX2, AlexNet's conv1 with 16 images and ResNet's with 4:
// conversion 1.0 and 0.5, product of matrices 19.6 and 6.0; padded 47.0 and 11.5. The same holds
// for the weights if the bottom is a gray image (LeNet's conv1, 64 images: 2.0 in the plain
// layer, 12.2 padded).

#include <algorithm>
#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/keeps_weights.hpp"
#include "caffe/layers/onednn/blocked_room.hpp"
#include "caffe/layers/onednn/conv_folding.hpp"
#include "caffe/layers/onednn/conv_pointwise.hpp"
#include "caffe/layers/onednn/conv_pointwise_gradients.hpp"
#include "caffe/layers/onednn/conv_winograd.hpp"
#include "caffe/layers/onednn/pieces.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/layers/takes_followers.hpp"
#include "caffe/util/math_mode.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnConvolutionLayer : public ConvolutionLayer<float>,
                               public TakesFollowers<float>,
                               public KeepsWeights,
                               public WritesIntoRoom {
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
  };
  typedef Pass<dnnl::convolution_forward> Forward;

  void prepare(const Blobs& bottom, const Blobs& top);
  void prepare_forward();
  void read_geometry(const Blob<float>& top);
  void prepare_winograd();
  void prepare_gradients();
  void prepare_backward();
  /// Direct convolution, or null if oneDNN has no fast code. `describe()` gives a description.
  template <typename Primitive, typename Describe>
  std::unique_ptr<Pass<Primitive>> attempt(const Describe& describe) const;
  /// Whether bottom and top are in blocks of so many channels.
  bool has_blocks(int block) const {
    return stored_block(bottom_layout_) == block && stored_block(top_layout_) == block;
  }
  bool is_winograd(ConvPass pass) const {
    return winograd_ != nullptr && winograd_->suits(pass, numbers_);
  }
  /// Whether this pass is one of inference, whose weights may be kept.
  bool infers() const { return phase_ == TEST && may_keep(); }
  /// The engine's own code for a forward pass; null: oneDNN's.
  const OwnForward* own_forward() const;
  bool has_own_gradient(ConvPass pass) const {
    return gradients_ != nullptr && gradients_->suits(pass);
  }
  bool is_own(ConvPass pass) const { return is_winograd(pass) || has_own_gradient(pass); }
  /// oneDNN's pass for the followers in `folding`. If it has none, `folding` becomes empty.
  const Forward& pass_for(Folding* folding);
  void prepare_folded(const Folding& folding);
  /// In the form that `own` or, if it is null, oneDNN's `pass` needs.
  FoldedWeights::Values learnt_for(const OwnForward* own, const Forward* pass,
                                   const Folding& folding);
  void forward(const Forward& pass, const FoldedWeights::Values& learnt, const dnnl::memory& bottom,
               const dnnl::memory& top);
  /// `gradient` is the top's.
  void backward_data(const dnnl::memory& gradient, Blob<float>* bottom);
  void backward_weights(const dnnl::memory& gradient, const Blob<float>& bottom);
  /// Adds to the gradients of the parameters.
  void add_weights(const dnnl::memory& weights, const dnnl::memory& bias);
  /// The weights in a layout of oneDNN's.
  dnnl::memory weights(const Layout& layout) const;

  const bool in_bf16_ = math_mode() == MathMode::kBf16 && Caffe::mode() == Caffe::CPU;
  Numbers numbers_ = Numbers::f32;  // that bottoms and tops are stored in and that are multiplied
  Dims bottom_dims_, top_dims_, weight_dims_;
  Dims strides_, dilations_, pad_low_, pad_high_;
  Layout bottom_layout_, top_layout_;  // of the forward pass
  // Null if no pass uses it.
  std::unique_ptr<ConvWinograd> winograd_;
  std::unique_ptr<ConvPointwise> pointwise_;
  std::unique_ptr<ConvPointwiseGradients> gradients_;
  // Null: the plain layer computes it, unless it is_own().
  std::unique_ptr<Forward> forward_;
  std::unique_ptr<Forward> folded_;  // forward_ with the followers in folded_for_
  Folding folded_for_;
  FoldedWeights learnt_;
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
  winograd_.reset();
  pointwise_.reset();
  gradients_.reset();
  forward_.reset();
  folded_.reset();
  folded_for_ = Folding();
  learnt_.forget();
  backward_data_.reset();
  backward_weights_.reset();
  backward_prepared_ = false;
  if (channel_axis_ != 1 || num_spatial_axes_ != 2 || bottom[0]->count() == 0) return;
  read_geometry(*top[0]);
  numbers_ = Numbers::bf16;
  if (in_bf16_) prepare_forward();
  if (forward_ == nullptr) {
    numbers_ = Numbers::f32;
    prepare_winograd();
    prepare_forward();
  }
  if (forward_ == nullptr) return;
  bottom_layout_ = forward_->description.src_desc();
  top_layout_ = forward_->description.dst_desc();
  if (numbers_ == Numbers::bf16) prepare_winograd();
  if (winograd_ != nullptr && !has_blocks(winograd_->block())) winograd_.reset();
  if (numbers_ == Numbers::bf16) return;
  if (phase_ == TEST && is_1x1_ && group_ == 1) {
    pointwise_ = ConvPointwise::make(bottom_layout_, top_layout_);
  }
  prepare_gradients();
}

void OneDnnConvolutionLayer::read_geometry(const Blob<float>& top) {
  top_dims_ = dims_of(top);
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
}

void OneDnnConvolutionLayer::prepare_forward() {
  const bool own =
      is_winograd(ConvPass::kForward) || (phase_ == TEST && is_winograd(ConvPass::kKeptForward));
  const Layout bias = bias_term_ ? plain_layout({num_output_}) : Layout();
  forward_ = attempt<dnnl::convolution_forward>([&] {
    const auto layout = [&](const Dims& dims) {
      return own ? blocked_layout(dims, winograd_->block()) : any_layout(dims, numbers_);
    };
    return describe<dnnl::convolution_forward>(
        dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
        layout(bottom_dims_), any_layout(weight_dims_, numbers_), bias, layout(top_dims_), strides_,
        dilations_, pad_low_, pad_high_);
  });
}

const OwnForward* OneDnnConvolutionLayer::own_forward() const {
  if (infers() && pointwise_ != nullptr) return pointwise_.get();
  const bool winograd =
      is_winograd(ConvPass::kForward) || (infers() && is_winograd(ConvPass::kKeptForward));
  return winograd ? winograd_.get() : nullptr;
}

void OneDnnConvolutionLayer::prepare_winograd() {
  const Dims ones = {1, 1}, zeros = {0, 0};
  const int kernel = kernel_shape_.cpu_data()[0];
  if (strides_ != ones || dilations_ != zeros || kernel_shape_.cpu_data()[1] != kernel) return;
  const auto at = [](const Dims& dims, int axis) { return static_cast<int>(dims[axis]); };
  winograd_ = ConvWinograd::make({at(bottom_dims_, 0), at(bottom_dims_, 1), at(bottom_dims_, 2),
                                  at(bottom_dims_, 3), num_output_, group_, kernel, at(pad_low_, 0),
                                  at(pad_low_, 1)});
}

void OneDnnConvolutionLayer::prepare_gradients() {
  const Dims zeros = {0, 0};
  const bool is_1x1 = kernel_shape_.cpu_data()[0] == 1 && kernel_shape_.cpu_data()[1] == 1;
  if (!is_1x1 || group_ != 1 || pad_low_ != zeros || strides_[0] != strides_[1]) return;
  const auto at = [](const Dims& dims, int axis) { return static_cast<int>(dims[axis]); };
  gradients_ =
      ConvPointwiseGradients::make({at(bottom_dims_, 0), at(bottom_dims_, 1), at(bottom_dims_, 2),
                                    at(bottom_dims_, 3), num_output_, at(strides_, 0)});
  if (gradients_ != nullptr && !has_blocks(gradients_->block())) gradients_.reset();
}

void OneDnnConvolutionLayer::prepare_backward() {
  if (backward_prepared_) return;
  backward_prepared_ = true;
  const auto direct = dnnl::algorithm::convolution_direct;
  // The layouts of the forward pass, except for the bottom's gradient, which does not have one yet.
  if (!is_own(ConvPass::kBackwardData)) {
    backward_data_ = attempt<dnnl::convolution_backward_data>([&] {
      return describe_backward<dnnl::convolution_backward_data>(
          forward_->description, direct, any_layout(bottom_dims_, numbers_),
          any_layout(weight_dims_, numbers_), top_layout_, strides_, dilations_, pad_low_,
          pad_high_);
    });
  }
  if (!is_own(ConvPass::kBackwardWeights)) {
    const Layout bias = bias_term_ ? plain_layout({num_output_}) : Layout();
    backward_weights_ = attempt<dnnl::convolution_backward_weights>([&] {
      return describe_backward<dnnl::convolution_backward_weights>(
          forward_->description, direct, bottom_layout_, any_layout(weight_dims_), bias,
          top_layout_, strides_, dilations_, pad_low_, pad_high_);
    });
  }
}

template <typename Primitive, typename Describe>
std::unique_ptr<OneDnnConvolutionLayer::Pass<Primitive>> OneDnnConvolutionLayer::attempt(
    const Describe& describe) const {
  const maap::NoFork while_locked;  // oneDNN's cache of primitives
  try {
    const auto description = describe();
    if (!is_fast(description)) return nullptr;
    return std::unique_ptr<Pass<Primitive>>(
        new Pass<Primitive>{description, Primitive(description)});
  } catch (const dnnl::error&) {
    return nullptr;  // not implemented for this shape
  }
}

dnnl::memory OneDnnConvolutionLayer::weights(const Layout& layout) const {
  const dnnl::memory plain = plain_memory(*blobs_[0], weight_dims_);
  if (plain.get_desc() == layout) return plain;
  const dnnl::memory converted = scratch(Slot::kWeights, layout);
  reorder(plain, converted);
  return converted;
}

void OneDnnConvolutionLayer::prepare_folded(const Folding& folding) {
  learnt_.forget();
  folded_for_ = folding;
  folded_ = attempt<dnnl::convolution_forward>([&] {
    return describe_with<dnnl::convolution_forward>(
        folding.relu ? attributes_with_relu(folding.slope) : onednn::attributes(),
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, bottom_layout_,
        any_layout(weight_dims_, numbers_),
        bias_term_ || folding.scales ? plain_layout({num_output_}) : Layout(), top_layout_,
        strides_, dilations_, pad_low_, pad_high_);
  });
}

const OneDnnConvolutionLayer::Forward& OneDnnConvolutionLayer::pass_for(Folding* folding) {
  if (!folding->relu && (bias_term_ || !folding->scales)) return *forward_;
  if (!(folded_for_ == *folding)) prepare_folded(*folding);
  if (folded_ != nullptr) return *folded_;
  *folding = Folding();
  return *forward_;
}

FoldedWeights::Values OneDnnConvolutionLayer::learnt_for(const OwnForward* own, const Forward* pass,
                                                         const Folding& folding) {
  const bool keep = may_keep() && (phase_ == TEST || !param_propagate_down(0));
  const Blob<float>* const bias = bias_term_ ? blobs_[1].get() : nullptr;
  if (own != nullptr) {
    return learnt_.get(*blobs_[0], bias, folding, keep, own->weights_bytes(),
                       [own](const float* from, float* to) { own->transform(from, to); });
  }
  const Layout plain = plain_layout(weight_dims_), layout = pass->description.weights_desc();
  FoldedWeights::Convert convert;
  if (layout != plain) {
    convert = [&](const float* from, float* to) {
      reorder(dnnl::memory(plain, cpu_engine(), const_cast<float*>(from)),
              dnnl::memory(layout, cpu_engine(), to));
    };
  }
  return learnt_.get(*blobs_[0], bias, folding, keep, layout.get_size(), convert);
}

void OneDnnConvolutionLayer::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  if (forward_ == nullptr) return Base::Forward_cpu(bottom, top);
  const OwnForward* const own = own_forward();
  const bool is_own = own != nullptr;
  Folding folding;
  // In oneDNN's code a ReLU requires reading the bottom once more, to find values that are not
  // finite.
  if (is_own || infers() || bottom[0]->count() < 2 * top[0]->count()) {
    folding = fold(followers(), num_output_, !is_own || own->takes_slopes(), infers());
  }
  // oneDNN's ReLU makes 0 of a NaN.
  if (folding.relu && !is_own && !all_finite(*bottom[0])) folding = Folding();
  const Forward* pass = is_own ? nullptr : &pass_for(&folding);
  FoldedWeights::Values learnt = learnt_for(own, pass, folding);
  if (folding.relu && !is_own && !learnt.finite) {
    folding = Folding();
    pass = forward_.get();
    learnt = learnt_for(own, pass, folding);
  }
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Input from(*bottom[i], Part::kData, bottom_layout_, Slot::kSource);
    Output to = output_in(room(), room_index(), top[i], top_layout_);
    if (is_own) {
      const FloatResult y(to.memory(), Slot::kMoreFloats);
      own->forward(as_floats(from.memory(), Slot::kFloats), learnt.weights, learnt.bias,
                   folding.relu, folding.slope, y.memory());
      y.done();
    } else {
      forward(*pass, learnt, from.memory(), to.memory());
    }
    to.done();
  }
  take(folding.layers.size(), folding.scales ? Gradient::kAgain : Gradient::kApart);
}

void OneDnnConvolutionLayer::forward(const Forward& pass, const FoldedWeights::Values& learnt,
                                     const dnnl::memory& bottom, const dnnl::memory& top) {
  const auto& description = pass.description;
  const auto memory = [](const Layout& layout, const float* values) {
    return dnnl::memory(layout, cpu_engine(), const_cast<float*>(values));
  };
  Arguments arguments = {{DNNL_ARG_WEIGHTS, memory(description.weights_desc(), learnt.weights)},
                         {DNNL_ARG_SRC, bottom},
                         {DNNL_ARG_DST, top}};
  if (learnt.bias != nullptr) {
    arguments[DNNL_ARG_BIAS] = memory(plain_layout({num_output_}), learnt.bias);
  }
  // After the conversions, which also use scratch memory.
  arguments[DNNL_ARG_SCRATCHPAD] = scratch(Slot::kPrimitive, description.scratchpad_desc());
  run(pass.primitive, arguments);
}

void OneDnnConvolutionLayer::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                          const Blobs& bottom) {
  if (forward_ == nullptr) return Base::Backward_cpu(top, propagate_down, bottom);
  prepare_backward();
  const bool learns = param_propagate_down(0) || (bias_term_ && param_propagate_down(1));
  const bool weights_by_base = backward_weights_ == nullptr && !is_own(ConvPass::kBackwardWeights);
  const bool data_by_base = backward_data_ == nullptr && !is_own(ConvPass::kBackwardData);
  for (size_t i = 0; i < top.size(); ++i) {
    const bool weights_here = learns && !weights_by_base;
    const bool data_here = propagate_down[i] && !data_by_base;
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
  if (is_own(ConvPass::kBackwardData)) {
    Output to(bottom, Part::kDiff, bottom_layout_);
    const float* const weights = blobs_[0]->cpu_data();
    if (is_winograd(ConvPass::kBackwardData)) {
      const FloatResult dx(to.memory(), Slot::kMoreFloats);
      winograd_->backward_data(as_floats(gradient, Slot::kFloats), weights, dx.memory());
      dx.done();
    } else {
      gradients_->backward_data(gradient, weights, to.memory());
    }
    return to.done();
  }
  const auto& description = backward_data_->description;
  Output to(bottom, Part::kDiff, description.diff_src_desc());
  const dnnl::memory weights = this->weights(description.weights_desc());
  run(backward_data_->primitive,
      {{DNNL_ARG_DIFF_DST, gradient},
       {DNNL_ARG_WEIGHTS, weights},
       {DNNL_ARG_DIFF_SRC, to.memory()},
       {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}});
  to.done();
}

void OneDnnConvolutionLayer::backward_weights(const dnnl::memory& gradient,
                                              const Blob<float>& bottom) {
  const Input from(bottom, Part::kData, bottom_layout_, Slot::kSource);
  if (is_own(ConvPass::kBackwardWeights)) {
    float* const weights = param_propagate_down(0) ? blobs_[0]->mutable_cpu_diff() : nullptr;
    float* const bias =
        bias_term_ && param_propagate_down(1) ? blobs_[1]->mutable_cpu_diff() : nullptr;
    if (is_winograd(ConvPass::kBackwardWeights)) {
      winograd_->backward_weights(as_floats(from.memory(), Slot::kMoreFloats),
                                  as_floats(gradient, Slot::kFloats), weights, bias);
    } else {
      gradients_->backward_weights(from.memory(), gradient, weights, bias);
    }
    return;
  }
  const auto& description = backward_weights_->description;
  const dnnl::memory weights = scratch(Slot::kWeightsGradient, description.diff_weights_desc());
  const dnnl::memory bias = scratch(Slot::kBiasGradient, plain_layout({num_output_}));
  Arguments arguments = {
      {DNNL_ARG_SRC, from.memory()},
      {DNNL_ARG_DIFF_DST, gradient},
      {DNNL_ARG_DIFF_WEIGHTS, weights},
      {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}};
  if (bias_term_) arguments[DNNL_ARG_DIFF_BIAS] = bias;
  run(backward_weights_->primitive, arguments);
  add_weights(weights, bias);
}

void OneDnnConvolutionLayer::add_weights(const dnnl::memory& weights, const dnnl::memory& bias) {
  if (param_propagate_down(0)) {
    reorder(weights,
            dnnl::memory(plain_layout(weight_dims_), cpu_engine(), blobs_[0]->mutable_cpu_diff()),
            true);
  }
  if (bias_term_ && param_propagate_down(1)) {
    caffe_axpy(num_output_, 1.f, values(bias), blobs_[1]->mutable_cpu_diff());
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
