#ifndef CAFFE_LAYERS_SLICE_LAYER_HPP_
#define CAFFE_LAYERS_SLICE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Splits the bottom along `axis` at the slice_points or, if there are none, into equal parts. A
/// single top shares the bottom's memory.
template <typename Dtype>
class SliceLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Slice"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  std::vector<int> lengths(int whole, int parts) const;

  int axis_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SLICE_LAYER_HPP_
