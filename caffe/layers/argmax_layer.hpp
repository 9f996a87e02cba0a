#ifndef CAFFE_LAYERS_ARGMAX_LAYER_HPP_
#define CAFFE_LAYERS_ARGMAX_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The indices of the top_k largest values along `axis`, the largest first; without an axis, of the
/// largest values of each item of the batch, taken as one row. Among equal values the one with the
/// larger index comes first; NaN counts as the largest.
///
/// With an axis the top has the bottom's shape, with top_k as the length of the axis, and holds
/// indices or, with out_max_val, values. Without one it is N x 1 x top_k, or with out_max_val N x 2
/// x top_k, indices before values (if the bottom has more than three axes, as many axes of length 1
/// follow). The cost is top_k passes over the bottom. No gradient.
template <typename Dtype>
class ArgMaxLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ArgMax"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int axis_ = 0;    // the top's axis of length top_k
  int length_ = 0;  // number of values to choose from
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_ARGMAX_LAYER_HPP_
