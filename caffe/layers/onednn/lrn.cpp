// LRN across channels by oneDNN, in its blocked layouts. A plain bottom is converted, because
// computing the powers costs more than the conversion.

#include <memory>
#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/onednn/primitives.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnLRNLayer : public LRNLayer<float> {
 public:
  using Base = LRNLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  struct Plan {
    Layout asked;  // layout of the bottom that the plan is for
    dnnl::lrn_forward::primitive_desc forward_description;
    dnnl::lrn_backward::primitive_desc backward_description;
    dnnl::lrn_forward forward;
    dnnl::lrn_backward backward;
    dnnl::memory workspace;
    bool works = false;
  };

  /// Whether oneDNN supports a bottom of this layout; sets plan_.
  bool prepare(const Layout& from);
  bool describe_both(const Layout& layout);

  std::unique_ptr<Plan> plan_;
  bool forward_was_here_ = false;  // whether oneDNN ran the last forward pass
};

bool OneDnnLRNLayer::describe_both(const Layout& layout) {
  const LrnShape shape = {size_, alpha_, beta_, k_};
  try {
    plan_->forward_description = describe_lrn(layout, shape);
    plan_->backward_description = describe_lrn_backward(plan_->forward_description, shape);
    return is_fast(plan_->forward_description) && is_fast(plan_->backward_description);
  } catch (const dnnl::error&) {
    return false;  // not implemented for this layout
  }
}

bool OneDnnLRNLayer::prepare(const Layout& from) {
  if (plan_ != nullptr && plan_->asked == from) return plan_->works;
  plan_.reset(new Plan);
  plan_->asked = from;
  const Dims dims = dims_of(from);
  const maap::NoFork while_locked;  // oneDNN's cache of primitives
  vector<Layout> candidates = {from};
  if (from == plain_layout(dims)) {
    candidates.clear();
    for (const int block : {16, 8}) candidates.push_back(blocked_layout(dims, block));
  }
  for (const Layout& layout : candidates) {
    if (!describe_both(layout)) continue;
    plan_->forward = dnnl::lrn_forward(plan_->forward_description);
    plan_->backward = dnnl::lrn_backward(plan_->backward_description);
    plan_->workspace = dnnl::memory(plan_->forward_description.workspace_desc(), cpu_engine());
    plan_->works = true;
    break;
  }
  return plan_->works;
}

void OneDnnLRNLayer::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  forward_was_here_ = bottom[0]->count() > 0 && prepare(layout_of(*bottom[0]));
  if (!forward_was_here_) return Base::Forward_cpu(bottom, top);
  const auto& description = plan_->forward_description;
  const Input from(*bottom[0], Part::kData, description.src_desc(), Slot::kSource);
  Output to(top[0], Part::kData, description.dst_desc());
  run(plan_->forward,
      {{DNNL_ARG_SRC, from.memory()},
       {DNNL_ARG_DST, to.memory()},
       {DNNL_ARG_WORKSPACE, plan_->workspace},
       {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}});
  to.done();
}

void OneDnnLRNLayer::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                  const Blobs& bottom) {
  if (!forward_was_here_) return Base::Backward_cpu(top, propagate_down, bottom);
  if (!propagate_down[0]) return;
  const auto& description = plan_->backward_description;
  const Input from(*bottom[0], Part::kData, description.src_desc(), Slot::kSource);
  const Input gradient(*top[0], Part::kDiff, description.diff_dst_desc(), Slot::kGradient);
  Output to(bottom[0], Part::kDiff, description.diff_src_desc());
  run(plan_->backward,
      {{DNNL_ARG_SRC, from.memory()},
       {DNNL_ARG_DIFF_DST, gradient.memory()},
       {DNNL_ARG_DIFF_SRC, to.memory()},
       {DNNL_ARG_WORKSPACE, plan_->workspace},
       {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}});
  to.done();
}

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  const LRNParameter& lrn = param.lrn_param();
  if (lrn.norm_region() != LRNParameter::ACROSS_CHANNELS) return nullptr;
  return shared_ptr<Layer<float>>(new OneDnnLRNLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "LRN", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
