// Concat along the channels in oneDNN's blocked layouts. If every bottom fills its blocks, each
// image is one contiguous run of values in the blocked layout as well. A bottom that its layer
// wrote into its place in the top (blocked_room.hpp) is not copied.

#include <memory>
#include <vector>

#include "caffe/layers/concat_layer.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/onednn/blocked_room.hpp"
#include "caffe/layers/onednn/shadow.hpp"
#include "caffe/util/copy_rows.hpp"

namespace caffe {
namespace onednn {
namespace {

class OneDnnConcatLayer : public ConcatLayer<float>, public JoinsBottoms {
 public:
  using Base = ConcatLayer<float>;
  using Base::Base;
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    Base::Reshape(bottom, top);
    room_->set_blobs(bottom, top[0], axis_ == 1);
  }
  const std::shared_ptr<JoinedRoom>& joined_room() const override { return as_room_; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    const std::shared_ptr<OneDnnCopy> joined = room_->take();
    choose_layout(bottom);
    if (block_ == 0) return Base::Forward_cpu(bottom, top);
    const Layout layout = blocked_layout(dims_of(*top[0]), block_, numbers_);
    Output to = joined != nullptr && joined->layout() == layout
                    ? Output(top[0], Part::kData, joined)
                    : Output(top[0], Part::kData, layout);
    float* y = values(to.memory());
    for (const Blob<float>* const each : bottom) {
      const Input from(*each, Part::kData, layout_of(*each), Slot::kSource);
      const float* const x = values(from.memory());
      const int length = each->count(1) / per_float();
      if (x != y) copy_rows(each->shape(0), length, x, length, y, top[0]->count(1) / per_float());
      y += length;
    }
    to.done();
  }

  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (block_ == 0) return Base::Backward_cpu(top, propagate_down, bottom);
    const Input gradient(*top[0], Part::kDiff, blocked_layout(dims_of(*top[0]), block_, numbers_),
                         Slot::kGradient);
    Shadow all(shape_in_floats(*top[0]));
    all.set_diff(gradient.memory());
    vector<Output> outputs;
    vector<Shadow> shadows;
    Blobs to;
    for (size_t i = 0; i < bottom.size(); ++i) {
      shadows.emplace_back(shape_in_floats(*bottom[i]));
      to.push_back(shadows.back().get());
      if (!propagate_down[i]) continue;
      outputs.emplace_back(bottom[i], Part::kDiff,
                           blocked_layout(dims_of(*bottom[i]), block_, numbers_));
      shadows.back().set_diff(outputs.back().memory());
    }
    Base::Backward_cpu({all.get()}, propagate_down, to);
    for (Output& output : outputs) output.done();
  }

 private:
  /// The block size and the numbers that all bottoms have, if they fill their blocks.
  void choose_layout(const Blobs& bottom) {
    block_ = 0;
    if (axis_ != 1 || bottom.size() < 2) return;
    numbers_ = numbers_of(layout_of(*bottom[0]));
    for (const Blob<float>* const each : bottom) {
      const int block = full_block(*each);
      const bool fits = block != 0 && (each == bottom[0] || block == block_) &&
                        numbers_of(layout_of(*each)) == numbers_;
      block_ = fits ? block : 0;
      if (!fits) return;
    }
  }
  /// Values are only copied, so two bfloat16 numbers pass as one float. Blocks are even.
  int per_float() const { return numbers_ == Numbers::bf16 ? 2 : 1; }
  vector<int> shape_in_floats(const Blob<float>& blob) const {
    vector<int> shape = blob.shape();
    shape[1] /= per_float();
    return shape;
  }

  const std::shared_ptr<BlockedRoom> room_ = std::make_shared<BlockedRoom>();
  const std::shared_ptr<JoinedRoom> as_room_ = room_;
  // Of the last forward pass. Block 0: the plain layer ran.
  int block_ = 0;
  Numbers numbers_ = Numbers::f32;
};

shared_ptr<Layer<float>> make(const LayerParameter& param) {
  return shared_ptr<Layer<float>>(new OneDnnConcatLayer(param));
}

const bool offered = (EngineChoice<float>::offer(Library::kOneDnn, "Concat", make), true);

}  // namespace
}  // namespace onednn
}  // namespace caffe
