// Concat along the channels in oneDNN's blocked layouts. If every bottom fills its blocks, each
// image is one contiguous run of values in the blocked layout as well, so the plain layer's code
// works on shadows.

#include <vector>

#include "caffe/layers/concat_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/shadow.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnConcatLayer : public ConcatLayer<float> {
 public:
  using Base = ConcatLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    block_ = common_block(bottom);
    if (block_ == 0) return Base::Forward_cpu(bottom, top);
    vector<Input> inputs;
    vector<Shadow> shadows;
    Blobs from;
    for (const Blob<float>* const each : bottom) {
      inputs.emplace_back(*each, Part::kData, layout_of(*each), Slot::kSource);
      shadows.emplace_back(each->shape());
      shadows.back().set_data(inputs.back().memory());
      from.push_back(shadows.back().get());
    }
    Output to(top[0], Part::kData, blocked_layout(dims_of(*top[0]), block_));
    Shadow all(top[0]->shape());
    all.set_data(to.memory());
    Base::Forward_cpu(from, {all.get()});
    to.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (block_ == 0) return Base::Backward_cpu(top, propagate_down, bottom);
    const Input gradient(*top[0], Part::kDiff, blocked_layout(dims_of(*top[0]), block_),
                         Slot::kGradient);
    Shadow all(top[0]->shape());
    all.set_diff(gradient.memory());
    vector<Output> outputs;
    vector<Shadow> shadows;
    Blobs to;
    for (size_t i = 0; i < bottom.size(); ++i) {
      shadows.emplace_back(bottom[i]->shape());
      to.push_back(shadows.back().get());
      if (!propagate_down[i]) continue;
      outputs.emplace_back(bottom[i], Part::kDiff, blocked_layout(dims_of(*bottom[i]), block_));
      shadows.back().set_diff(outputs.back().memory());
    }
    Base::Backward_cpu({all.get()}, propagate_down, to);
    for (Output& output : outputs) output.done();
  }

 private:
  /// The block size that all bottoms have and fill; 0: none.
  int common_block(const Blobs& bottom) const {
    if (axis_ != 1 || bottom.size() < 2) return 0;
    int block = 0;
    for (const Blob<float>* const each : bottom) {
      const int its_block = full_block(*each);
      if (its_block == 0 || (block != 0 && its_block != block)) return 0;
      block = its_block;
    }
    return block;
  }

  int block_ = 0;  // block of the last forward pass; 0: the plain layer ran
};

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  return shared_ptr<Layer<float>>(new OneDnnConcatLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "Concat", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
