#ifndef CAFFE_LAYERS_TILE_LAYER_HPP_
#define CAFFE_LAYERS_TILE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Repeats the bottom `tiles` times along `axis`.
template <typename Dtype>
class TileLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Tile"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int axis_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_TILE_LAYER_HPP_
