#ifndef CAFFE_LAYERS_BATCH_REINDEX_LAYER_HPP_
#define CAFFE_LAYERS_BATCH_REINDEX_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/row_index.hpp"

namespace caffe {

/// Reorders the items of a batch: top[0][i] = bottom[0][bottom[1][i]]. bottom[1] has one axis, of
/// any length; items may occur several times or not at all. An index that is not an integer in [0,
/// items) is an error. No gradient flows to the indices.
template <typename Dtype>
class BatchReindexLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "BatchReindex"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  RowIndex index_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BATCH_REINDEX_LAYER_HPP_
