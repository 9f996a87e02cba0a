#ifndef CAFFE_LAYERS_ONEDNN_FORWARD_HERE_HPP_
#define CAFFE_LAYERS_ONEDNN_FORWARD_HERE_HPP_

#include <vector>

#include "caffe/common.hpp"

namespace caffe {
namespace onednn {

/// The base of an adapter that keeps something of its own from its forward pass on the CPU for the
/// backward pass. The mode may change between passes: a pass in GPU mode is the plain layer's.
template <typename LayerClass>
class ForwardHere : public LayerClass {
 public:
  using LayerClass::LayerClass;
  using typename LayerClass::Blobs;

 protected:
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override {
    forward_was_here_ = false;
    LayerClass::Forward_gpu(bottom, top);
  }
  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    CAFFE_CHECK(!forward_was_here_ || !keeps_for_backward(top, bottom),
                this->name() << "the last forward pass ran in CPU mode, and a backward pass in GPU "
                             << "mode needs one in that mode");
    LayerClass::Backward_gpu(top, propagate_down, bottom);
  }
  /// Whether a plain layer's backward pass would need what its own forward pass keeps.
  virtual bool keeps_for_backward(const Blobs&, const Blobs&) const { return true; }

  bool forward_was_here_ = false;  // whether the adapter ran the last forward pass
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_FORWARD_HERE_HPP_
