// BatchNorm and Scale for a bottom in a layout of oneDNN's. The forward pass with given statistics
// uses oneDNN's batch normalisation, the rest blocked_scale.hpp. A Scale, y = s x + b, is a
// normalisation with mean 0, variance 1, s and b.
//
// In place, a backward pass needs the input of the forward pass. Instead of copying it, the layer
// writes the result to other memory, which becomes the blob's, and keeps the memory that the blob
// had; in the next pass the two are exchanged again.

#include <cmath>
#include <memory>
#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/blocked_scale.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/layers/scale_layer.hpp"

namespace caffe {
namespace onednn {
namespace {

typedef dnnl::normalization_flags Flags;

/// The primitives for one layout.
class Normalization {
 public:
  /// Whether oneDNN supports that layout.
  bool prepare(const Layout& layout, float eps, Flags flags) {
    if (made_ && layout == layout_) return works_;
    layout_ = layout;
    made_ = true;
    works_ = false;
    const maap::NoFork while_locked;  // oneDNN's cache of primitives
    try {
      description_ = describe_normalization(layout, eps, flags);
      if (!is_fast(description_)) return false;
      forward_ = dnnl::batch_normalization_forward(description_);
      works_ = true;
    } catch (const dnnl::error&) {
      // Not implemented for this layout.
    }
    return works_;
  }

  /// Computes the top from the bottom; `arguments` are the other arguments. With `keep`, kept()
  /// then has the bottom's values.
  void forward(Blob<float>* bottom, Blob<float>* top, bool keep, Arguments arguments) {
    pass(bottom, top, keep, [&](const dnnl::memory& from, const dnnl::memory& to) {
      arguments[DNNL_ARG_SRC] = from;
      arguments[DNNL_ARG_DST] = to;
      arguments[DNNL_ARG_SCRATCHPAD] = scratch(Slot::kPrimitive, description_.scratchpad_desc());
      run(forward_, arguments);
    });
  }

  /// The same with the batch's statistics, which are stored in `mean` and `variance`.
  void forward(Blob<float>* bottom, Blob<float>* top, bool keep, float* mean, float* variance,
               float eps) {
    pass(bottom, top, keep, [&](const dnnl::memory& from, const dnnl::memory& to) {
      normalization_forward(from, mean, variance, eps, to);
    });
  }

  /// Computes the bottom's gradient from the top's; the statistics are the bottom's.
  void backward(const Blob<float>& top, Blob<float>* bottom, const float* mean,
                const float* variance, float eps) {
    const Input gradient(top, Part::kDiff, layout_, Slot::kGradient);
    Output to(bottom, Part::kDiff, layout_);
    std::unique_ptr<Input> from;
    if (kept_ == nullptr) from.reset(new Input(*bottom, Part::kData, layout_, Slot::kSource));
    normalization_backward(gradient.memory(), kept_ != nullptr ? kept_->memory() : from->memory(),
                           mean, variance, eps, to.memory());
    to.done();
  }

  /// The same through y = s x + b: the bottom's gradient if `wanted`; with `sums` (2, channels)
  /// also the gradients of s and b.
  void backward_scaled(const Blob<float>& top, Blob<float>* bottom, bool wanted,
                       const float* factors, vector<double>* sums) {
    const Input gradient(top, Part::kDiff, layout_, Slot::kGradient);
    std::unique_ptr<Output> to;
    if (wanted) to.reset(new Output(bottom, Part::kDiff, layout_));
    const dnnl::memory result = wanted ? to->memory() : dnnl::memory();
    const size_t channels = bottom->shape(1);
    BlockedScale scale = {factors, &gradient.memory(), wanted ? &result : nullptr, nullptr, nullptr,
                          nullptr};
    std::unique_ptr<Input> from;
    dnnl::memory x;
    if (sums != nullptr) {
      if (kept_ == nullptr) from.reset(new Input(*bottom, Part::kData, layout_, Slot::kSource));
      x = kept_ != nullptr ? kept_->memory() : from->memory();
      sums->resize(2 * channels);
      scale.x = &x;
      scale.factor_gradients = sums->data();
      scale.shift_gradients = sums->data() + channels;
    }
    scale_backward(scale);
    if (wanted) to->done();
  }

 private:
  template <typename F>
  void pass(Blob<float>* bottom, Blob<float>* top, bool keep, const F& compute) {
    const std::shared_ptr<OneDnnCopy> given = current_copy(*bottom);
    std::shared_ptr<OneDnnCopy> room;
    if (keep) {
      const bool fits = kept_ != nullptr && kept_->layout() == layout_ && kept_ != given;
      room = fits ? kept_ : OneDnnCopy::make(layout_);
    }
    Output to = keep ? Output(top, Part::kData, room) : Output(top, Part::kData, layout_);
    compute(given->memory(), to.memory());
    kept_ = keep ? given : nullptr;
    to.done();
  }

  Layout layout_;
  bool made_ = false, works_ = false;
  dnnl::batch_normalization_forward::primitive_desc description_;
  dnnl::batch_normalization_forward forward_;
  std::shared_ptr<OneDnnCopy> kept_;
};

/// In channels that pad a block, oneDNN's normalisation writes values other than 0.
bool has_full_blocks(const Blob<float>& blob) {
  return full_block(blob) != 0;
}

dnnl::memory vector_memory(float* values, int count) {
  return dnnl::memory(plain_layout({count}), cpu_engine(), values);
}

class OneDnnBatchNormLayer : public BatchNormLayer<float> {
 public:
  using Base = BatchNormLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    const Flags flags = use_global_stats_ ? Flags::use_global_stats : Flags::none;
    forward_was_here_ =
        has_full_blocks(*bottom[0]) &&
        normalization_.prepare(layout_of(*bottom[0]), layer_param_.batch_norm_param().eps(), flags);
    if (!forward_was_here_) return Base::Forward_cpu(bottom, top);
    if (use_global_stats_) take_averages();
    const bool keep = bottom[0] == top[0] && !use_global_stats_;
    if (use_global_stats_) {
      normalization_.forward(bottom[0], top[0], keep, statistics());
    } else {
      normalization_.forward(bottom[0], top[0], keep, mean_.mutable_cpu_data(),
                             variance_.mutable_cpu_data(), layer_param_.batch_norm_param().eps());
      enter_averages(static_cast<double>(bottom[0]->count()) / bottom[0]->shape(1));
    }
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!forward_was_here_) return Base::Backward_cpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    const float eps = layer_param_.batch_norm_param().eps();
    if (!use_global_stats_) {
      return normalization_.backward(*top[0], bottom[0], mean_.cpu_data(), variance_.cpu_data(),
                                     eps);
    }
    vector<float> factors;
    for (int c = 0; c < variance_.count(); ++c) {
      factors.push_back(1 / std::sqrt(variance_.cpu_data()[c] + eps));
    }
    normalization_.backward_scaled(*top[0], bottom[0], true, factors.data(), nullptr);
  }

 private:
  Arguments statistics() {
    return {{DNNL_ARG_MEAN, vector_memory(mean_.mutable_cpu_data(), mean_.count())},
            {DNNL_ARG_VARIANCE, vector_memory(variance_.mutable_cpu_data(), variance_.count())}};
  }

  Normalization normalization_;
  bool forward_was_here_ = false;  // whether oneDNN ran the last forward pass
};

class OneDnnScaleLayer : public ScaleLayer<float> {
 public:
  using Base = ScaleLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    Flags flags = Flags::use_global_stats | Flags::use_scale;
    if (bias() != nullptr) flags |= Flags::use_shift;
    forward_was_here_ = bottom.size() == 1 && has_full_blocks(*bottom[0]) &&
                        is_by_channel(*bottom[0]) &&
                        normalization_.prepare(layout_of(*bottom[0]), 0.f, flags);
    if (!forward_was_here_) return Base::Forward_cpu(bottom, top);
    normalization_.forward(bottom[0], top[0], keeps_input(bottom, top), parameters());
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!forward_was_here_) return Base::Backward_cpu(top, propagate_down, bottom);
    const bool learns = param_propagate_down_[0] || param_propagate_down_.back();
    if (!learns && !propagate_down[0]) return;
    normalization_.backward_scaled(*top[0], bottom[0], propagate_down[0], blobs_[0]->cpu_data(),
                                   learns ? &sums_ : nullptr);
    if (param_propagate_down_[0]) add(sums_.data(), blobs_[0].get());
    if (bias() != nullptr && param_propagate_down_.back()) {
      add(sums_.data() + shape_.channels, bias());
    }
  }

 private:
  /// Whether there is one factor per channel (axis 1).
  bool is_by_channel(const Blob<float>& x) const {
    return shape_.outer == x.shape(0) && shape_.channels == x.shape(1);
  }

  static void add(const double* gradients, Blob<float>* learnt) {
    float* const to = learnt->mutable_cpu_diff();
    for (int c = 0; c < learnt->count(); ++c) to[c] = static_cast<float>(to[c] + gradients[c]);
  }

  Arguments parameters() {
    const int channels = shape_.channels;
    mean_.assign(channels, 0.f);
    variance_.assign(channels, 1.f);
    Arguments arguments = {{DNNL_ARG_MEAN, vector_memory(mean_.data(), channels)},
                           {DNNL_ARG_VARIANCE, vector_memory(variance_.data(), channels)},
                           {DNNL_ARG_SCALE, plain_memory(*blobs_[0], {channels})}};
    if (bias() != nullptr) arguments[DNNL_ARG_SHIFT] = plain_memory(*bias(), {channels});
    return arguments;
  }

  Normalization normalization_;
  vector<float> mean_, variance_;
  vector<double> sums_;            // gradients of s, then of b
  bool forward_was_here_ = false;  // whether oneDNN ran the last forward pass
};

template <typename LayerClass>
shared_ptr<Layer<float>> make(const LayerParameter& param) {
  return shared_ptr<Layer<float>>(new LayerClass(param));
}

const bool offered =
    (EngineChoice<float>::offer(Library::kOneDnn, "BatchNorm", make<OneDnnBatchNormLayer>),
     EngineChoice<float>::offer(Library::kOneDnn, "Scale", make<OneDnnScaleLayer>), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
