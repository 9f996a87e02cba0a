#ifndef CAFFE_LAYERS_DETECTION_PERMUTE_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_PERMUTE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Reorders axes, from SSD's Caffe: axis k of the top is axis order[k] of the bottom, as in numpy's
/// transpose(order). Axes that `order` does not name follow, ascending. If no axis moves, the top
/// shares the bottom's memory.
template <typename Dtype>
class PermuteLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Permute"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  std::vector<int> full_order(const Blob<Dtype>& bottom) const;

  bool moves_ = false;  // whether any axis does
  // Of the top, axes that stay neighbours in the bottom joined into one: the lengths, and how far
  // apart the values of an axis are in the bottom.
  std::vector<int> lengths_, strides_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_PERMUTE_LAYER_HPP_
