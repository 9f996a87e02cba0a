// Enhancement (caffe_layers/enhancement_layer.hpp) in oneDNN's blocked layouts, if the bottom has
// one and fills its blocks: in padding channels the gradient would not be 0. No oneDNN primitive is
// needed.

#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/memory.hpp"
#include "caffe_layers/enhancement_layer.hpp"
#include "caffe_layers/onednn/blocked_attention.hpp"

namespace caffe {
namespace onednn {
namespace {

const float* values(const dnnl::memory& memory) {
  return static_cast<const float*>(memory.get_data_handle());
}

float* mutable_values(const dnnl::memory& memory) {
  return static_cast<float*>(memory.get_data_handle());
}

class OneDnnEnhancementLayer : public EnhancementLayer<float> {
 public:
  using Base = EnhancementLayer<float>;
  using Base::Base;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    block_ = full_block(*bottom[0]);
    if (block_ == 0) return Base::Forward_cpu(bottom, top);
    const Layout layout = layout_of(*bottom[0]);
    const Input from(*bottom[0], Part::kData, layout, Slot::kSource);
    Output to(top[0], Part::kData, layout);
    maap::enhance_blocked(shape(*bottom[0]), block_, values(from.memory()),
                          mutable_values(to.memory()), attention_.mutable_cpu_data());
    to.done();
    if (top.size() > 1) top[1]->CopyFrom(attention_);
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (block_ == 0) return Base::Backward_cpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    const bool in_place = top[0] == bottom[0];
    const Layout layout = blocked_layout(dims_of(*bottom[0]), block_);
    const Input from(*bottom[0], Part::kData, layout, Slot::kSource);
    if (in_place && !checked_)
      check_untouched(maap::Device::kCPU, first_pixels(*bottom[0], values(from.memory())));
    const Input gradient(*top[0], Part::kDiff, layout, Slot::kGradient);
    Output to(bottom[0], Part::kDiff, layout);
    maap::enhance_blocked_backward(shape(*bottom[0]), block_, values(gradient.memory()),
                                   top.size() > 1 ? top[1]->cpu_diff() : nullptr,
                                   values(from.memory()), in_place, attention_.cpu_data(),
                                   mutable_values(to.memory()));
    to.done();
  }

 private:
  static maap::FeatureShape shape(const Blob<float>& f) {
    return {f.shape(0), f.shape(1), f.count(2)};
  }

  vector<float> first_pixels(const Blob<float>& f, const float* blocked) const {
    vector<float> result;
    for (int i = 0; i < f.shape(0) * f.shape(1); ++i) {  // (n, c) = i; blocks do not cross images
      result.push_back(
          blocked[static_cast<int64_t>(i / block_) * f.count(2) * block_ + i % block_]);
    }
    return result;
  }

  int block_ = 0;  // block of the last forward pass; 0: the plain layer ran
};

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  return shared_ptr<Layer<float>>(new OneDnnEnhancementLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "Enhancement", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
