#ifndef CAFFE_LAYERS_FILTER_LAYER_HPP_
#define CAFFE_LAYERS_FILTER_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/row_index.hpp"

namespace caffe {

/// Keeps the items of a batch whose selector, in the last bottom, is not 0: top[i] has those of
/// bottom[i], in the same order. If no item is kept, the tops are empty. Before the first pass,
/// when no selector is known, the tops have the bottoms' shapes. No gradient flows to the selector.
template <typename Dtype>
class FilterLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Filter"; }
  int MinBottomBlobs() const override { return 2; }
  int MinTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override {
    return bottom_index != this->layer_param_.bottom_size() - 1;
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  bool set_up_ = false;
  RowIndex kept_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_FILTER_LAYER_HPP_
