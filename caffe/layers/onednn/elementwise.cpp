// ReLU, ReLU6, Eltwise SUM and the gradient of Split in any layout of oneDNN's that their bottoms
// have (shadow.hpp). No oneDNN primitive is needed.

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/mobile/relu6_layer.hpp"
#include "caffe/layers/onednn/shadow.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/split_layer.hpp"

namespace caffe {
namespace onednn {
namespace {

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
    Shadow x(flat_shape(layout)), y(flat_shape(layout));
    x.set_data(from.memory());
    y.set_data(to.memory());
    Base::Forward_cpu({x.get()}, {y.get()});
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
    Shadow x(flat_shape(layout)), y(flat_shape(layout));
    x.set_data(from.memory());
    x.set_diff(to.memory());
    y.set_diff(gradient.memory());
    Base::Backward_cpu({y.get()}, {true}, {x.get()});
    to.done();
  }
};

class OneDnnEltwiseLayer : public EltwiseLayer<float> {
 public:
  using Base = EltwiseLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    forward_was_here_ = common_layout(bottom, Part::kData, &layout_);
    if (!forward_was_here_) return Base::Forward_cpu(bottom, top);
    vector<Input> inputs;
    vector<Shadow> shadows;
    Blobs from;
    for (const Blob<float>* const each : bottom) {
      inputs.emplace_back(*each, Part::kData, layout_, Slot::kSource);
      shadows.emplace_back(flat_shape(layout_));
      shadows.back().set_data(inputs.back().memory());
      from.push_back(shadows.back().get());
    }
    Output to(top[0], Part::kData, layout_);
    Shadow sum(flat_shape(layout_));
    sum.set_data(to.memory());
    Base::Forward_cpu(from, {sum.get()});
    to.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (!forward_was_here_) return Base::Backward_cpu(top, propagate_down, bottom);
    const vector<int> same = same_gradients(propagate_down);
    if (takes_pending_sum(*top[0], same, bottom)) return;
    const Input gradient(*top[0], Part::kDiff, layout_, Slot::kGradient);
    std::unique_ptr<Input> values;
    std::unique_ptr<Output> left;
    Shadow y(flat_shape(layout_));
    y.set_diff(gradient.memory());
    if (!followers().empty()) {  // a ReLU
      values.reset(new Input(*top[0], Part::kData, layout_, Slot::kSource));
      y.set_data(values->memory());
      if (keeps_gradient()) {
        left.reset(new Output(top[0], Part::kDiff, layout_));
        copy(gradient.memory(), left->memory());
        y.set_diff(left->memory());
      }
    }
    vector<Output> outputs;
    vector<Shadow> shadows;
    Blobs to;
    vector<bool> wanted(bottom.size());
    for (size_t i = 0; i < bottom.size(); ++i) {
      shadows.emplace_back(flat_shape(layout_));
      to.push_back(shadows.back().get());
      wanted[i] = same[i] == static_cast<int>(i);
      if (!wanted[i]) continue;
      outputs.emplace_back(bottom[i], Part::kDiff, layout_);
      shadows.back().set_diff(outputs.back().memory());
    }
    Base::Backward_cpu({y.get()}, wanted, to);
    for (Output& output : outputs) output.done();
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (same[i] >= 0 && !wanted[i]) share(*bottom[same[i]], bottom[i]);
    }
    if (left != nullptr) left->done();
  }

 private:
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
    const float *const p = values(a), *const q = values(b);
    float* const to = values(dx);
    const int64_t count = static_cast<int64_t>(dx.get_desc().get_size() / sizeof(float));
    if (y == nullptr) {
#pragma omp parallel for simd
      for (int64_t i = 0; i < count; ++i) to[i] = p[i] + q[i];
      return;
    }
    const float* const top = values(*y);
#pragma omp parallel for simd
    for (int64_t i = 0; i < count; ++i) {
      const float sum = p[i] + q[i];
      to[i] = top[i] > 0 ? sum : 0;
    }
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
  /// For two memories of one layout.
  static void copy(const dnnl::memory& from, const dnnl::memory& to) {
    const void* const source = from.get_data_handle();
    void* const target = to.get_data_handle();
    if (source != target) std::memcpy(target, source, from.get_desc().get_size());
  }

  Layout layout_;                  // of the last forward pass
  bool forward_was_here_ = false;  // whether that pass used layout_
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
    vector<Shadow> shadows;
    Blobs from;
    for (const Blob<float>* const each : with_gradient) {
      inputs.emplace_back(*each, Part::kDiff, layout, Slot::kGradient);
      shadows.emplace_back(flat_shape(layout));
      shadows.back().set_diff(inputs.back().memory());
      from.push_back(shadows.back().get());
    }
    Output to(bottom[0], Part::kDiff, layout);
    Shadow sum(flat_shape(layout));
    sum.set_diff(to.memory());
    Base::Backward_cpu(from, propagate_down, {sum.get()});
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
