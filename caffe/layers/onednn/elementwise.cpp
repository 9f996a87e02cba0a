// ReLU, ReLU6, Eltwise SUM and the gradient of Split in any layout of oneDNN's that their bottoms
// have (shadow.hpp). No oneDNN primitive is needed.

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
    for (size_t i = 0; i < bottom.size(); ++i) {
      shadows.emplace_back(flat_shape(layout_));
      to.push_back(shadows.back().get());
      if (!propagate_down[i]) continue;
      outputs.emplace_back(bottom[i], Part::kDiff, layout_);
      shadows.back().set_diff(outputs.back().memory());
    }
    Base::Backward_cpu({y.get()}, propagate_down, to);
    for (Output& output : outputs) output.done();
    if (left != nullptr) left->done();
  }

 private:
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
