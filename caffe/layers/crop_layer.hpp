#ifndef CAFFE_LAYERS_CROP_LAYER_HPP_
#define CAFFE_LAYERS_CROP_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Crops bottom[0] to bottom[1]'s lengths in `axis` and the axes after it; earlier axes stay whole.
/// The part begins at `offset`, one value for all these axes or one per axis; the default is 0.
/// bottom[1] provides only the size.
template <typename Dtype>
class CropLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Crop"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  std::vector<int> offsets_;  // in bottom[0], one per axis
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CROP_LAYER_HPP_
