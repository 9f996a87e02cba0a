#ifndef CAFFE_LAYERS_CONCAT_LAYER_HPP_
#define CAFFE_LAYERS_CONCAT_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Concatenates the bottoms along `axis`; all other axes must agree. A single bottom shares its
/// memory with the top.
template <typename Dtype>
class ConcatLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Concat"; }
  int MinBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  int axis_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CONCAT_LAYER_HPP_
