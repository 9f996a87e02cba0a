#ifndef CAFFE_LAYERS_DROPOUT_LAYER_HPP_
#define CAFFE_LAYERS_DROPOUT_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

/// In training each value is 0 with probability dropout_ratio (exact to 2^-32), otherwise x / (1 -
/// dropout_ratio); in testing y = x. May work in place.
///
/// Of other forks: without scale_train (Fast R-CNN's), a value that is kept is x in training, and
/// y = (1 - dropout_ratio) x in testing. With sample_weights_test (Bayesian SegNet's), the layer
/// does in testing what it does in training.
///
/// Whether a value is dropped depends only on its index (in the plain order) and on a seed that is
/// drawn from the thread's generator once per forward pass (caffe/util/random_bits.hpp). So the
/// result is the same for any number of threads and on both devices, and backward computes it
/// again: no mask is stored.
template <typename Dtype>
class DropoutLayer : public Portable<NeuronLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<NeuronLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Dropout"; }
  /// Whether y = x, as in testing. In place, such a layer does nothing.
  bool keeps_values() const { return !drops_ && scale_ == Dtype(1); }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// y from x, both in that order and of the shape of `shaped`.
  void drop(Order order, const Blob<Dtype>& shaped, const Dtype* x, Dtype* y) const;

  GpuSeed seed_;  // of the last forward pass
  bool drops_ = false;
  uint32_t threshold_ = 0;  // a value is kept if its 32 random bits are at least this
  Dtype scale_ = 1;         // of values that are kept
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DROPOUT_LAYER_HPP_
