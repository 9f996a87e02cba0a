#ifndef CAFFE_LAYERS_CONV_LAYER_HPP_
#define CAFFE_LAYERS_CONV_LAYER_HPP_

#include <vector>

#include "caffe/layers/base_conv_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// top = weights (*) bottom + bias, group by group, over any number of spatial axes. A spatial
/// length i becomes floor((i + 2 pad - (dilation (kernel - 1) + 1)) / stride) + 1.
template <typename Dtype>
class ConvolutionLayer : public Portable<BaseConvolutionLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<BaseConvolutionLayer<Dtype>>::Portable;
  const char* type() const override { return "Convolution"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  bool reverse_dimensions() override { return false; }
  void compute_output_shape() override;
  /// Adds to the gradients of the weights and the bias, if these learn.
  void add_learnt_gradients(const Blob<Dtype>& top, const Blob<Dtype>& bottom);
  void compute_bottom_gradient(const Blob<Dtype>& top, Blob<Dtype>* bottom);
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_CONV_LAYER_HPP_
