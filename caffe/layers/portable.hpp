#ifndef CAFFE_LAYERS_PORTABLE_HPP_
#define CAFFE_LAYERS_PORTABLE_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// A layer with one body for both devices. Base is Layer<Dtype>, NeuronLayer<Dtype> ...; the layer
/// implements Forward_any and Backward_any with active_data(), active_diff() and parallel_for(n,
/// functor), which follow the calling thread's mode:
///
///   template <typename Dtype> class ReLULayer : public Portable<NeuronLayer<Dtype>> { ... };
template <typename Base>
class Portable : public Base {
 public:
  using Base::Base;
  using typename Base::Blobs;

 protected:
  /// Like Layer's Forward_cpu and Backward_cpu, for the device that the thread's mode selects.
  virtual void Forward_any(const Blobs& bottom, const Blobs& top) = 0;
  virtual void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) = 0;

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override { Forward_any(bottom, top); }
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override { Forward_any(bottom, top); }
  void Backward_cpu(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    Backward_any(top, propagate_down, bottom);
  }
  void Backward_gpu(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    Backward_any(top, propagate_down, bottom);
  }
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_PORTABLE_HPP_
