#ifndef CAFFE_LAYERS_DECONV_LAYER_HPP_
#define CAFFE_LAYERS_DECONV_LAYER_HPP_

#include <vector>

#include "caffe/layers/base_conv_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The adjoint of a Convolution with the same parameters, plus bias: each value of the bottom adds
/// a multiple of the kernel to the top. A spatial length i becomes stride (i - 1) + dilation
/// (kernel - 1) + 1 - 2 pad.
template <typename Dtype>
class DeconvolutionLayer : public Portable<BaseConvolutionLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<BaseConvolutionLayer<Dtype>>::Portable;
  const char* type() const override { return "Deconvolution"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  bool reverse_dimensions() override { return true; }
  void compute_output_shape() override;
  void add_weight_gradient(const Blob<Dtype>& top, const Blob<Dtype>& bottom);
  void compute_bottom_gradient(const Blob<Dtype>& top, Blob<Dtype>* bottom);
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DECONV_LAYER_HPP_
