#ifndef CAFFE_LAYERS_MOBILE_KEEPS_INPUT_HPP_
#define CAFFE_LAYERS_MOBILE_KEEPS_INPUT_HPP_

#include <vector>

#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

/// An element by element layer whose gradient needs x: where it works in place, it keeps a copy.
/// A functor {x, y, kept} computes a value of y and copies that of x to `kept` unless it is null,
/// a functor {x, dy, dx} a value of the gradient.
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
  template <template <typename> class Functor>
  void forward(const Blobs& bottom, const Blobs& top) {
    const Order order = data_order(*bottom[0]);
    Dtype* const kept = bottom[0] == top[0] ? mutable_data_in(order, &kept_) : nullptr;
    parallel_for(bottom[0]->count(),
                 Functor<Dtype>{data_in(order, *bottom[0]), mutable_data_in(order, top[0]), kept});
  }
  template <template <typename> class Functor>
  void backward(const Blobs& top, bool wanted, const Blobs& bottom) {
    if (!wanted) return;
    const Order order = gradient_order(*bottom[0], *top[0]);
    const Dtype* const x = data_in(order, bottom[0] == top[0] ? kept_ : *bottom[0]);
    parallel_for(bottom[0]->count(),
                 Functor<Dtype>{x, diff_in(order, *top[0]), mutable_diff_in(order, bottom[0])});
  }

 private:
  Blob<Dtype> kept_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_KEEPS_INPUT_HPP_
