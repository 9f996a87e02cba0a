#ifndef CAFFE_LAYERS_EMBED_LAYER_HPP_
#define CAFFE_LAYERS_EMBED_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/row_index.hpp"

namespace caffe {

/// Takes each value of the bottom as an index into a learnt table of input_dim rows: y[..., :] =
/// table[x[...], :] + b. The result is that of an InnerProduct layer on one-hot vectors, without
/// making these. An index that is not an integer in [0, input_dim) is an error. No gradient flows
/// to the indices.
///   blobs[0] table (input_dim, num_output), blobs[1] b (num_output) with bias_term
template <typename Dtype>
class EmbedLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Embed"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  RowIndex index_;
  Blob<double> sums_;  // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_EMBED_LAYER_HPP_
