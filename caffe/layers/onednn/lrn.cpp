// LRN across channels in the layout of the bottom, plain or in blocks of channels
// (caffe/util/lrn_across.hpp). oneDNN's LRN is not used: its forward pass is much slower with AVX2,
// slower with AVX-512, and it keeps memory of the bottom's size for the backward pass.

#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/onednn/memory.hpp"
#include "caffe/layers/takes_relu_gradient.hpp"
#include "caffe/util/lrn_across.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnLRNLayer : public LRNLayer<float>, public TakesReluGradient {
 public:
  using Base = LRNLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0]->count() == 0) return;
    const Layout layout = layout_for(*bottom[0]);
    const Input x(*bottom[0], Part::kData, layout, Slot::kSource);
    Output y(top[0], Part::kData, layout);
    lrn_across::forward(images(layout), shape(), values(x.memory()), values(y.memory()));
    y.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!propagate_down[0] || bottom[0]->count() == 0) return;
    const Layout layout = layout_for(*bottom[0]);
    const Input x(*bottom[0], Part::kData, layout, Slot::kSource);
    const Input dy(*top[0], Part::kDiff, layout, Slot::kGradient);
    Output dx(bottom[0], Part::kDiff, layout);
    lrn_across::backward(images(layout), shape(), values(x.memory()), values(dy.memory()),
                         take_relu(), values(dx.memory()));
    dx.done();
  }

 private:
  static Layout layout_for(const Blob<float>& bottom) {
    const Layout layout = layout_of(bottom);
    return channel_block(layout) == 0 ? plain_layout(dims_of(bottom)) : layout;
  }
  lrn_across::Images images(const Layout& layout) const {
    return {num_, channels_, height_ * width_, channel_block(layout)};
  }
  lrn_across::Window shape() const { return {size_, alpha_, beta_, k_}; }
};

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  const LRNParameter& lrn = param.lrn_param();
  if (lrn.norm_region() != LRNParameter::ACROSS_CHANNELS) return nullptr;
  return shared_ptr<Layer<float>>(new OneDnnLRNLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "LRN", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
