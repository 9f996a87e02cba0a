// LRN across channels in the layout of the bottom, plain or in blocks of channels
// (caffe/util/lrn_across.hpp). oneDNN's LRN is not used: its forward pass is much slower with AVX2,
// slower with AVX-512, and it keeps memory of the bottom's size for the backward pass.

#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/onednn/pieces.hpp"
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
    has_scale_ = false;
    if (bottom[0]->count() == 0) return;
    const Layout layout = layout_for(*bottom[0]);
    const Input x(*bottom[0], Part::kData, layout, Slot::kSource);
    Output y(top[0], Part::kData, layout);
    in_pieces({&x.memory()}, {&y.memory()}, image_length(layout), [&](const Piece& piece) {
      lrn_across::forward(images(layout, piece), window(), piece.x[0], piece.y[0]);
    });
    y.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!propagate_down[0] || bottom[0]->count() == 0) return;
    const Layout layout = layout_for(*bottom[0]);
    const Input x(*bottom[0], Part::kData, layout, Slot::kSource);
    const Input dy(*top[0], Part::kDiff, layout, Slot::kGradient);
    Output dx(bottom[0], Part::kDiff, layout);
    const bool relu = take_relu();
    in_pieces({&x.memory(), &dy.memory()}, {&dx.memory()}, image_length(layout),
              [&](const Piece& piece) {
                lrn_across::backward(images(layout, piece), window(), piece.x[0], piece.x[1], relu,
                                     piece.y[0]);
              });
    dx.done();
  }

 private:
  static Layout layout_for(const Blob<float>& bottom) {
    const Layout layout = layout_of(bottom);
    return stored_block(layout) == 0 ? plain_layout(dims_of(bottom)) : layout;
  }
  int64_t image_length(const Layout& layout) const { return stored_count(layout) / num_; }
  /// Those of a piece, which has one or all of them.
  lrn_across::Images images(const Layout& layout, const Piece& piece) const {
    return {static_cast<int>(piece.count / image_length(layout)), channels_, height_ * width_,
            stored_block(layout)};
  }
  lrn_across::Window window() const { return {size_, alpha_, beta_, k_}; }
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
