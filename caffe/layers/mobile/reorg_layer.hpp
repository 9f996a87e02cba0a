#ifndef CAFFE_LAYERS_MOBILE_REORG_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_REORG_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// YOLO v2's reordering of a map, N x C x H x W, by Darknet's rule with s = stride:
///   top[0]  N x C s^2 x H/s x W/s or, with reverse, N x C/s^2 x H s x W s
/// It is not space to depth. Let p(c, h, w) be the place of (c2, h s + o / s, w s + o % s) in a map
/// C/s^2 x H s x W s, where c2 = c % (C/s^2) and o = c / (C/s^2). In memory, value (c, h, w) of the
/// top, counted as if it had the bottom's shape, is value p(c, h, w) of the bottom; with reverse,
/// value p(c, h, w) of the top is value (c, h, w) of the bottom. C must be a multiple of s^2, H and
/// W of s (the latter without reverse alone). Not in place.
template <typename Dtype>
class ReorgLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Reorg"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// With `gather`, to[i] = from[p(i)], else to[p(i)] = from[i]. `bottom` gives the shape.
  void move(bool gather, const Blob<Dtype>& bottom, const Dtype* from, Dtype* to) const;

  int stride_ = 1;
  bool reverse_ = false;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_REORG_LAYER_HPP_
