#ifndef CAFFE_LAYERS_IM2COL_LAYER_HPP_
#define CAFFE_LAYERS_IM2COL_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/im2col.hpp"

namespace caffe {

/// The columns of a convolution (caffe/util/im2col.hpp) as a blob. The axes before
/// convolution_param's `axis` count images, `axis` has the C channels, and the following axes are
/// spatial. In the top, C becomes C x the kernel sizes, and each spatial length becomes the number
/// of kernel positions.
template <typename Dtype>
class Im2colLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Im2col"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  ConvGeometry geometry_;
  int channel_axis_ = 1;
  int images_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_IM2COL_LAYER_HPP_
