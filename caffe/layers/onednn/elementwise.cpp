// ReLU, ReLU6, Eltwise SUM and the gradient of Split in any layout of oneDNN's that their bottoms
// have (shadow.hpp). No oneDNN primitive is needed.

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/mobile/relu6_layer.hpp"
#include "caffe/layers/onednn/forward_here.hpp"
#include "caffe/layers/onednn/shadow.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/split_layer.hpp"

namespace caffe {
namespace onednn {
namespace {

template <typename Each>
Memories memories_of(const vector<Each>& all) {
  Memories memories;
  for (const Each& each : all) memories.push_back(&each.memory());
  return memories;
}

/// An element by element layer, Plain, whose gradient needs x or y. Padding stays 0: it must make 0
/// of 0.
template <typename Plain>
class OneDnnElementwiseLayer : public Plain {
 public:
  using Base = Plain;
  using Base::Base;
  using typename Base::Blobs;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (!is_foreign(*bottom[0])) return Base::Forward_cpu(bottom, top);
    const Layout layout = layout_of(*bottom[0]);
    const Input from(*bottom[0], Part::kData, layout, Slot::kSource);
    Output to(top[0], Part::kData, layout);
    in_pieces({&from.memory()}, {&to.memory()}, kPieceLength, [this](const Piece& piece) {
      Shadow x(flat_shape(piece)), y(flat_shape(piece));
      x.set_data(piece.x[0]);
      y.set_data(piece.y[0]);
      Base::Forward_cpu({x.get()}, {y.get()});
    });
    to.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!is_foreign(*bottom[0])) return Base::Backward_cpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    const Layout layout = layout_of(*bottom[0]);
    const Input from(*bottom[0], Part::kData, layout, Slot::kSource);
    const Input gradient(*top[0], Part::kDiff, layout, Slot::kGradient);
    Output to(bottom[0], Part::kDiff, layout);
    in_pieces({&from.memory(), &gradient.memory()}, {&to.memory()}, kPieceLength,
              [this](const Piece& piece) {
                Shadow x(flat_shape(piece)), y(flat_shape(piece));
                x.set_data(piece.x[0]);
                y.set_diff(piece.x[1]);
                x.set_diff(piece.y[0]);
                Base::Backward_cpu({y.get()}, {true}, {x.get()});
              });
    to.done();
  }
};

class OneDnnEltwiseLayer : public ForwardHere<EltwiseLayer<float>> {
 public:
  using Base = ForwardHere<EltwiseLayer<float>>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    forward_was_here_ = common_layout(bottom, Part::kData, &layout_);
    if (!forward_was_here_) return Base::Forward_cpu(bottom, top);
    vector<Input> inputs;
    for (const Blob<float>* const each : bottom) {
      inputs.emplace_back(*each, Part::kData, layout_, Slot::kSource);
    }
    Output to(top[0], Part::kData, layout_);
    in_pieces(memories_of(inputs), {&to.memory()}, kPieceLength, [&](const Piece& piece) {
      vector<Shadow> shadows;
      Blobs from;
      for (const float* const x : piece.x) {
        shadows.emplace_back(flat_shape(piece));
        shadows.back().set_data(x);
        from.push_back(shadows.back().get());
      }
      Shadow sum(flat_shape(piece));
      sum.set_data(piece.y[0]);
      add_up(from, {sum.get()});
    });
    take_relu();
    to.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!forward_was_here_) return Base::Backward_cpu(top, propagate_down, bottom);
    const vector<int> same = same_gradients(propagate_down);
    if (takes_pending_sum(*top[0], same, bottom)) return;
    const bool relu = !followers().empty();
    vector<Input> inputs;
    inputs.emplace_back(*top[0], Part::kDiff, layout_, Slot::kGradient);
    if (relu) inputs.emplace_back(*top[0], Part::kData, layout_, Slot::kSource);
    vector<Output> outputs;
    vector<bool> wanted(bottom.size());
    for (size_t i = 0; i < bottom.size(); ++i) {
      wanted[i] = same[i] == static_cast<int>(i);
      if (wanted[i]) outputs.emplace_back(bottom[i], Part::kDiff, layout_);
    }
    const bool leaves = relu && keeps_gradient();
    if (leaves) outputs.emplace_back(top[0], Part::kDiff, layout_);
    in_pieces(memories_of(inputs), memories_of(outputs), kPieceLength,
              [&](const Piece& piece) { backward(piece, relu, leaves, wanted); });
    for (Output& output : outputs) output.done();
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (same[i] >= 0 && !wanted[i]) share(*bottom[same[i]], bottom[i]);
    }
  }

  bool keeps_for_backward(const Blobs&, const Blobs&) const override { return false; }

 private:
  /// The gradients of the wanted bottoms from those of the top, piece.x[0]; with a ReLU, whose
  /// values are piece.x[1]. If `leaves`, the gradient in front of the ReLU goes to the last result.
  void backward(const Piece& piece, bool relu, bool leaves, const vector<bool>& wanted) {
    Shadow y(flat_shape(piece));
    y.set_diff(piece.x[0]);
    if (relu) y.set_data(piece.x[1]);
    if (leaves) {
      float* const left = piece.y.back();
      if (left != piece.x[0]) std::memcpy(left, piece.x[0], piece.count * sizeof(float));
      y.set_diff(left);
    }
    vector<Shadow> shadows;
    Blobs to;
    size_t next = 0;
    for (const bool each : wanted) {
      shadows.emplace_back(flat_shape(piece));
      to.push_back(shadows.back().get());
      if (each) shadows.back().set_diff(piece.y[next++]);
    }
    Base::Backward_cpu({y.get()}, wanted, to);
  }
  /// If the top's gradient is a sum that is not computed yet, and all bottoms get it as it is
  /// behind the ReLU: computes it for them, in one pass.
  bool takes_pending_sum(const Blob<float>& top, const vector<int>& same, const Blobs& bottom) {
    const auto sum = pending_sum(top, Part::kDiff, layout_);
    const bool relu = !followers().empty();
    if (sum == nullptr || same[0] != 0 || coeff(0) != 1 || (relu && keeps_gradient())) return false;
    for (const int first : same) {
      if (first > 0) return false;
    }
    std::unique_ptr<Input> y;
    if (relu) y.reset(new Input(top, Part::kData, layout_, Slot::kSource));
    Output to(bottom[0], Part::kDiff, layout_);
    add_gradients(sum->a().memory(), sum->b().memory(), y == nullptr ? nullptr : &y->memory(),
                  to.memory());
    to.done();
    for (size_t i = 1; i < bottom.size(); ++i) {
      if (same[i] == 0) share(*bottom[0], bottom[i]);
    }
    return true;
  }
  /// dx = a + b where y > 0 or everywhere if it is null.
  static void add_gradients(const dnnl::memory& a, const dnnl::memory& b, const dnnl::memory* y,
                            const dnnl::memory& dx) {
    Memories from = {&a, &b};
    if (y != nullptr) from.push_back(y);
    in_pieces(from, {&dx}, kPieceLength, [y](const Piece& piece) {
      const float *const p = piece.x[0], *const q = piece.x[1];
      float* const to = piece.y[0];
      const int64_t count = piece.count;
      if (y == nullptr) {
#pragma omp parallel for simd
        for (int64_t i = 0; i < count; ++i) to[i] = p[i] + q[i];
        return;
      }
      const float* const top = piece.x[2];
#pragma omp parallel for simd
      for (int64_t i = 0; i < count; ++i) {
        const float sum = p[i] + q[i];
        to[i] = top[i] > 0 ? sum : 0;
      }
    });
  }

  /// [bottom] The first bottom that gets the same gradient; -1: it gets none.
  vector<int> same_gradients(const vector<bool>& propagate_down) const {
    vector<int> same(propagate_down.size(), -1);
    for (int i = 0; i < static_cast<int>(same.size()); ++i) {
      if (propagate_down[i]) same[i] = i;
      for (int j = 0; same[i] == i && j < i; ++j) {
        if (propagate_down[j] && coeff(j) == coeff(i)) same[i] = j;
      }
    }
    return same;
  }
  /// Gives a blob the gradient that was just written to another one, in the same memory. Whoever
  /// writes one of them later takes other memory (Output).
  static void share(const Blob<float>& from, Blob<float>* to) {
    const auto copy = std::dynamic_pointer_cast<OneDnnCopy>(from.diff()->foreign());
    if (&from != to) Output(to, Part::kDiff, copy->share()).done();
  }

  Layout layout_;  // of the last forward pass
};

/// In the forward pass the tops share the bottom's memory, in any layout.
class OneDnnSplitLayer : public SplitLayer<float> {
 public:
  using Base = SplitLayer<float>;
  using Base::Base;

 protected:
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    Blobs with_gradient;
    for (Blob<float>* const each : top) {
      if (each->diff()->head() != SyncedMemory::UNINITIALIZED) with_gradient.push_back(each);
    }
    Layout layout;
    if (!propagate_down[0] || !common_layout(with_gradient, Part::kDiff, &layout)) {
      return Base::Backward_cpu(top, propagate_down, bottom);
    }
    if (with_gradient.size() == 2) {
      const auto a = current_copy(*with_gradient[0], Part::kDiff);
      const auto b = current_copy(*with_gradient[1], Part::kDiff);
      if (a != nullptr && b != nullptr && a->layout() == b->layout()) {
        return bottom[0]->diff()->foreign_written(std::make_shared<PendingSum>(a, b));
      }
    }
    vector<Input> inputs;
    for (const Blob<float>* const each : with_gradient) {
      inputs.emplace_back(*each, Part::kDiff, layout, Slot::kGradient);
    }
    Output to(bottom[0], Part::kDiff, layout);
    in_pieces(memories_of(inputs), {&to.memory()}, kPieceLength, [&](const Piece& piece) {
      vector<Shadow> shadows;
      Blobs from;
      for (const float* const dy : piece.x) {
        shadows.emplace_back(flat_shape(piece));
        shadows.back().set_diff(dy);
        from.push_back(shadows.back().get());
      }
      Shadow sum(flat_shape(piece));
      sum.set_diff(piece.y[0]);
      Base::Backward_cpu(from, propagate_down, {sum.get()});
    });
    to.done();
  }
};

template <typename LayerClass>
shared_ptr<Layer<float>> make(const LayerParameter& param) {
  return shared_ptr<Layer<float>>(new LayerClass(param));
}

shared_ptr<Layer<float>> make_eltwise(const LayerParameter& param) {
  // MAX and PROD need stored indices or the other bottoms' values in the backward pass.
  if (param.eltwise_param().operation() != EltwiseParameter::SUM) return nullptr;
  return make<OneDnnEltwiseLayer>(param);
}

const bool offered =
    (EngineChoice<float>::offer(Library::kOneDnn, "ReLU",
                                make<OneDnnElementwiseLayer<ReLULayer<float>>>),
     EngineChoice<float>::offer(Library::kOneDnn, "ReLU6",
                                make<OneDnnElementwiseLayer<ReLU6Layer<float>>>),
     EngineChoice<float>::offer(Library::kOneDnn, "Eltwise", make_eltwise),
     EngineChoice<float>::offer(Library::kOneDnn, "Split", make<OneDnnSplitLayer>), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
