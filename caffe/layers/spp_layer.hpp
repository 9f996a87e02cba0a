#ifndef CAFFE_LAYERS_SPP_LAYER_HPP_
#define CAFFE_LAYERS_SPP_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Spatial pyramid pooling (He et al., 2014): an output of fixed length for images of any size.
/// Level l in [0, pyramid_height) pools each plane of N x C x H x W to 2^l x 2^l bins: kernel and
/// stride ceil(H / 2^l), pad ((kernel 2^l - H) + 1) / 2, and likewise for W. The top is N x sum of
/// C 4^l: the levels in order, each as C x 2^l x 2^l.
template <typename Dtype>
class SPPLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  /// Throws if a level has bins of padding only: the image is too small for it.
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "SPP"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  struct Level {
    std::shared_ptr<Layer<Dtype>> pooling;
    Blob<Dtype> input;   // the bottom's data, with a separate gradient
    Blob<Dtype> output;  // N x C x 2^l x 2^l
    Blobs bottom, top;
  };
  std::shared_ptr<Level> make_level(int index, int height, int width) const;

  std::vector<std::shared_ptr<Level>> levels_;
  int height_ = 0, width_ = 0;  // the image size that levels_ are made for
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SPP_LAYER_HPP_
