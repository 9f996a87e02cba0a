#ifndef CAFFE_LAYERS_ARGMAX_LAYER_HPP_
#define CAFFE_LAYERS_ARGMAX_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The places of the top_k largest values along `axis`, the largest first; or, without an axis, of
/// the largest values of each item of the batch, taken as one row. Of equal values the one at the
/// larger place comes first; NaN counts as the largest.
///
/// With an axis the top has the bottom's shape, top_k in place of the axis's length, and holds
/// places or, with out_max_val, values. Without one it is N x 1 x top_k, or with out_max_val N x 2
/// x top_k, places before values (and as many axes of length 1 behind as the bottom has more than
/// three). The cost is top_k passes over the bottom. No gradient.
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
  int axis_ = 0;    // of the top: where the top_k stand
  int length_ = 0;  // values they are taken from
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_ARGMAX_LAYER_HPP_
