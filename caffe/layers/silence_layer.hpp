#ifndef CAFFE_LAYERS_SILENCE_LAYER_HPP_
#define CAFFE_LAYERS_SILENCE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Consumes blobs that no other layer reads, so that the net does not list them as outputs. Their
/// gradient is 0.
template <typename Dtype>
class SilenceLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  const char* type() const override { return "Silence"; }
  void Reshape(const Blobs&, const Blobs&) override {}
  int MinBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 0; }

 protected:
  void Forward_any(const Blobs&, const Blobs&) override {}
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SILENCE_LAYER_HPP_
