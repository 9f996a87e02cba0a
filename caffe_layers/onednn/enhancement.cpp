// Enhancement (caffe_layers/enhancement_layer.hpp) in oneDNN's blocked layouts, if the bottom has
// one and fills its blocks: in padding channels the gradient would not be 0. No oneDNN primitive is
// needed.

#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/pieces.hpp"
#include "caffe_layers/enhancement_layer.hpp"
#include "caffe_layers/onednn/blocked_attention.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnEnhancementLayer : public EnhancementLayer<float> {
 public:
  using Base = EnhancementLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    block_ = full_block(*bottom[0]);
    if (block_ == 0) return Base::Forward_cpu(bottom, top);
    layout_ = layout_of(*bottom[0]);
    const Input from(*bottom[0], Part::kData, layout_, Slot::kSource);
    Output to(top[0], Part::kData, layout_);
    float* const attention = attention_.mutable_cpu_data();
    in_pieces({&from.memory()}, {&to.memory()}, bottom[0]->count(1), [&](const Piece& piece) {
      maap::enhance_blocked(shape(*bottom[0], piece), block_, piece.x[0], piece.y[0],
                            attention + pixel(*bottom[0], piece));
    });
    to.done();
    if (top.size() > 1) top[1]->CopyFrom(attention_);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (block_ == 0) return Base::Backward_cpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    const bool in_place = top[0] == bottom[0];
    const Input from(*bottom[0], Part::kData, layout_, Slot::kSource);
    if (in_place && !checked_) check(*bottom[0], from.memory());
    const Input gradient(*top[0], Part::kDiff, layout_, Slot::kGradient);
    Output to(bottom[0], Part::kDiff, layout_);
    const float* const attention = attention_.cpu_data();
    const float* const a_gradient = top.size() > 1 ? top[1]->cpu_diff() : nullptr;
    in_pieces({&gradient.memory(), &from.memory()}, {&to.memory()}, bottom[0]->count(1),
              [&](const Piece& piece) {
                const int64_t at = pixel(*bottom[0], piece);
                maap::enhance_blocked_backward(shape(*bottom[0], piece), block_, piece.x[0],
                                               a_gradient == nullptr ? nullptr : a_gradient + at,
                                               piece.x[1], in_place, attention + at, piece.y[0]);
              });
    to.done();
  }

 private:
  /// Of a piece, which is one image of f or all of them.
  static maap::FeatureShape shape(const Blob<float>& f, const Piece& piece) {
    return {static_cast<int>(piece.count / f.count(1)), f.shape(1), f.count(2)};
  }
  /// Where its attention begins.
  static int64_t pixel(const Blob<float>& f, const Piece& piece) {
    return piece.begin / f.shape(1);
  }

  /// Throws if another layer has changed the result.
  void check(const Blob<float>& f, const dnnl::memory& stored) {
    vector<float> first(f.count(0, 2));
    in_pieces({&stored}, {}, f.count(1), [&](const Piece& piece) {
      const int64_t begin = piece.begin / f.count(2), channels = piece.count / f.count(2);
      for (int64_t i = 0; i < channels; ++i) {  // blocks do not cross images
        first[begin + i] = piece.x[0][i / block_ * f.count(2) * block_ + i % block_];
      }
    });
    check_untouched(maap::Device::kCPU, first, is_bf16(layout_) ? 1. / 256 : 0);
  }

  Layout layout_;  // of the last forward pass
  int block_ = 0;  // its block; 0: the plain layer ran
};

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  return shared_ptr<Layer<float>>(new OneDnnEnhancementLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "Enhancement", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
