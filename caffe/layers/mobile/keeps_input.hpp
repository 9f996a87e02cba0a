#ifndef CAFFE_LAYERS_MOBILE_KEEPS_INPUT_HPP_
#define CAFFE_LAYERS_MOBILE_KEEPS_INPUT_HPP_

#include <vector>

#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

/// An element by element layer whose gradient needs x: where it works in place, it keeps a copy.
template <typename Dtype>
class KeepsInput : public Portable<NeuronLayer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0] == top[0]) {
      kept_.ReshapeLike(*bottom[0]);
    } else {
      top[0]->ReshapeLike(*bottom[0]);
    }
  }
  size_t own_bytes() const override { return sizeof(Dtype) * static_cast<size_t>(kept_.count()); }

 protected:
  /// For the forward pass: memory for the copy, or null.
  Dtype* copy(Order order, const Blobs& bottom, const Blobs& top) {
    return bottom[0] == top[0] ? mutable_data_in(order, &kept_) : nullptr;
  }
  /// For the backward pass: x.
  const Dtype* input(Order order, const Blobs& bottom, const Blobs& top) const {
    return data_in(order, bottom[0] == top[0] ? kept_ : *bottom[0]);
  }

 private:
  Blob<Dtype> kept_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_KEEPS_INPUT_HPP_
