// MAX and AVE pooling by oneDNN, if it treats borders as Caffe does:
//
//   MAX  always: both ignore values beyond the plane.
//   AVE  Caffe divides by the part of the window within `pad` of the plane. oneDNN divides by the
//        whole window or by the part within the plane; the first is right if no window reaches
//        further than `pad`, the second if pad is 0.
//
// Caffe's rounding up becomes padding on the right and at the bottom, as much as the last window
// needs.

#include <algorithm>
#include <memory>
#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/forward_here.hpp"
#include "caffe/layers/onednn/primitives.hpp"
#include "caffe/layers/pooling_layer.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnPoolingLayer : public ForwardHere<PoolingLayer<float>> {
 public:
  using Base = ForwardHere<PoolingLayer<float>>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  bool keeps_for_backward(const Blobs&, const Blobs&) const override {
    return method() == PoolingParameter::MAX;
  }

 private:
  struct Plan {
    Layout from;
    PoolingShape shape;
    dnnl::pooling_forward::primitive_desc forward_description;
    dnnl::pooling_backward::primitive_desc backward_description;
    dnnl::pooling_forward forward;
    dnnl::pooling_backward backward;
    dnnl::memory workspace;  // MAX: the index of the chosen value
    bool works = false;
  };

  bool shape_of(const Dims& from, const Dims& to, PoolingShape* shape) const;
  /// Whether oneDNN supports a bottom of this layout; sets plan_.
  bool prepare(const Layout& from, const Blob<float>& top);

  std::unique_ptr<Plan> plan_;
};

/// False if the borders differ.
bool OneDnnPoolingLayer::shape_of(const Dims& from, const Dims& to, PoolingShape* shape) const {
  shape->kernel = {kernel_h_, kernel_w_};
  shape->strides = {stride_h_, stride_w_};
  shape->pad_low = {pad_h_, pad_w_};
  shape->pad_high = {0, 0};
  bool within_pad = true;
  for (int axis = 0; axis < 2; ++axis) {
    shape->pad_high[axis] = std::max<dnnl::memory::dim>(
        0, (to[2 + axis] - 1) * shape->strides[axis] + shape->kernel[axis] - from[2 + axis] -
               shape->pad_low[axis]);
    // A window completely beyond the plane, which occurs with a large stride.
    if (shape->pad_high[axis] >= shape->kernel[axis]) return false;
    within_pad = within_pad && shape->pad_high[axis] <= shape->pad_low[axis];
  }
  if (method() == PoolingParameter::MAX) {
    shape->algorithm = dnnl::algorithm::pooling_max;
  } else if (pad_h_ == 0 && pad_w_ == 0) {
    shape->algorithm = dnnl::algorithm::pooling_avg_exclude_padding;
  } else {
    shape->algorithm = dnnl::algorithm::pooling_avg_include_padding;
    return within_pad;
  }
  return true;
}

bool OneDnnPoolingLayer::prepare(const Layout& from, const Blob<float>& top) {
  if (plan_ != nullptr && plan_->from == from) return plan_->works;
  plan_.reset(new Plan);
  plan_->from = from;
  const Dims to = dims_of(top);
  if (!shape_of(dims_of(from), to, &plan_->shape)) return false;
  const maap::NoFork while_locked;  // oneDNN's cache of primitives
  try {
    plan_->forward_description =
        describe_pooling(from, any_layout(to, numbers_of(from)), plan_->shape);
    if (!is_fast(plan_->forward_description)) return false;
    plan_->backward_description =
        describe_pooling_backward(plan_->forward_description, plan_->shape);
    if (!is_fast(plan_->backward_description)) return false;
    if (method() == PoolingParameter::MAX) {
      plan_->workspace = dnnl::memory(plan_->forward_description.workspace_desc(), cpu_engine());
    }
    plan_->backward = dnnl::pooling_backward(plan_->backward_description);
    plan_->forward = dnnl::pooling_forward(plan_->forward_description);
  } catch (const dnnl::error&) {
    return false;  // not implemented for this shape
  }
  plan_->works = true;
  return true;
}

void OneDnnPoolingLayer::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  forward_was_here_ =
      top.size() == 1 && is_foreign(*bottom[0]) && prepare(layout_of(*bottom[0]), *top[0]);
  if (!forward_was_here_) return Base::Forward_cpu(bottom, top);
  const auto& description = plan_->forward_description;
  const Input from(*bottom[0], Part::kData, plan_->from, Slot::kSource);
  Output to(top[0], Part::kData, description.dst_desc());
  Arguments arguments = {
      {DNNL_ARG_SRC, from.memory()},
      {DNNL_ARG_DST, to.memory()},
      {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}};
  if (plan_->workspace) arguments[DNNL_ARG_WORKSPACE] = plan_->workspace;
  run(plan_->forward, arguments);
  to.done();
}

void OneDnnPoolingLayer::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  if (!forward_was_here_) return Base::Backward_cpu(top, propagate_down, bottom);
  if (!propagate_down[0]) return;
  const auto& description = plan_->backward_description;
  const Input gradient(*top[0], Part::kDiff, description.diff_dst_desc(), Slot::kGradient);
  Output to(bottom[0], Part::kDiff, description.diff_src_desc());
  Arguments arguments = {
      {DNNL_ARG_DIFF_DST, gradient.memory()},
      {DNNL_ARG_DIFF_SRC, to.memory()},
      {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}};
  if (plan_->workspace) arguments[DNNL_ARG_WORKSPACE] = plan_->workspace;
  run(plan_->backward, arguments);
  to.done();
}

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  if (param.pooling_param().pool() == PoolingParameter::STOCHASTIC) return nullptr;
  return shared_ptr<Layer<float>>(new OneDnnPoolingLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "Pooling", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
