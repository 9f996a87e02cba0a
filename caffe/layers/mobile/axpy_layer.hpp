#ifndef CAFFE_LAYERS_MOBILE_AXPY_LAYER_HPP_
#define CAFFE_LAYERS_MOBILE_AXPY_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Squeeze-and-excitation's scaling with a residual sum, SENet: top = a x + y, with one a for each
/// channel of each image.
///   bottom[0]  a, N x C or N x C x 1 x 1
///   bottom[1]  x, N x C x ...
///   bottom[2]  y, as x; the top may be in its place
///   top[0]     as x
/// Gradients: da = the sum of dtop x over the channel, dx = a dtop, dy = dtop.
template <typename Dtype>
class AxpyLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Axpy"; }
  int ExactNumBottomBlobs() const override { return 3; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Blob<double> sums_;  // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_AXPY_LAYER_HPP_
