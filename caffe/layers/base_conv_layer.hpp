#ifndef CAFFE_LAYERS_BASE_CONV_LAYER_HPP_
#define CAFFE_LAYERS_BASE_CONV_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/im2col.hpp"

namespace caffe {

/// What Convolution and Deconvolution share: the parameters, the shapes, the learnt blobs and the
/// products of matrices. The axes before `axis` count images, `axis` counts channels, and the
/// following axes are spatial, up to kMaxSpatialAxes of them. All bottoms share one set of weights.
///
///   blobs_[0]  weights: conv_out_channels x conv_in_channels / group x kernel
///   blobs_[1]  bias: num_output, with bias_term
///
/// "Input" and "output" of the methods are those of the convolution: a Deconvolution computes its
/// top as the input. All methods compute where the thread's mode says; Caffe's names, one for each
/// device, are kept. Each call handles one image.
template <typename Dtype>
class BaseConvolutionLayer : public Layer<Dtype>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit BaseConvolutionLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  int MinBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  bool EqualNumBottomTopBlobs() const override { return true; }
  size_t workspace_bytes() const override {
    return is_1x1_ ? 0 : sizeof(Dtype) * static_cast<size_t>(col_buffer_.count());
  }

 protected:
  /// output = weights * im2col(input). skip_im2col: the columns of this input have already been
  /// computed.
  void forward_gemm(const Dtype* input, const Dtype* weights, Dtype* output,
                    bool skip_im2col = false);
  /// input = col2im(weights^T * output)
  void backward_gemm(const Dtype* output, const Dtype* weights, Dtype* input);
  /// weights += output * im2col(input)^T
  void weight_gemm(const Dtype* input, const Dtype* output, Dtype* weights);
  /// top (num_output x positions) += bias
  void forward_bias(Dtype* top, const Dtype* bias);
  /// bias += the sum of one image's top gradient over its positions.
  void backward_bias(Dtype* bias, const Dtype* top_diff);
  /// The same for all images of a batch at once, whose values may have their channels last.
  /// T is Dtype or has 16 bits (kernels/half.hpp).
  template <typename T>
  void forward_bias_of_all(T* top, const Dtype* bias, bool channels_last = false);
  template <typename T>
  void backward_bias_of_all(Dtype* bias, const T* top_diff, bool channels_last = false);

  void forward_cpu_gemm(const Dtype* input, const Dtype* weights, Dtype* output,
                        bool skip_im2col = false) {
    forward_gemm(input, weights, output, skip_im2col);
  }
  void forward_gpu_gemm(const Dtype* input, const Dtype* weights, Dtype* output,
                        bool skip_im2col = false) {
    forward_gemm(input, weights, output, skip_im2col);
  }
  void forward_cpu_bias(Dtype* output, const Dtype* bias) { forward_bias(output, bias); }
  void forward_gpu_bias(Dtype* output, const Dtype* bias) { forward_bias(output, bias); }
  void backward_cpu_gemm(const Dtype* output, const Dtype* weights, Dtype* input) {
    backward_gemm(output, weights, input);
  }
  void backward_gpu_gemm(const Dtype* output, const Dtype* weights, Dtype* input) {
    backward_gemm(output, weights, input);
  }
  void weight_cpu_gemm(const Dtype* input, const Dtype* output, Dtype* weights) {
    weight_gemm(input, output, weights);
  }
  void weight_gpu_gemm(const Dtype* input, const Dtype* output, Dtype* weights) {
    weight_gemm(input, output, weights);
  }
  void backward_cpu_bias(Dtype* bias, const Dtype* top_diff) { backward_bias(bias, top_diff); }
  void backward_gpu_bias(Dtype* bias, const Dtype* top_diff) { backward_bias(bias, top_diff); }

  /// The length of the bottoms' axis channel_axis_ + i.
  int input_shape(int i) const { return (*bottom_shape_)[channel_axis_ + i]; }
  /// Whether this is a Deconvolution: its bottom is the convolution's output.
  virtual bool reverse_dimensions() = 0;
  /// Fills output_shape_, the spatial lengths of the tops. The caller reports lengths below 1.
  virtual void compute_output_shape() = 0;

  // One value for each spatial axis.
  Blob<int> kernel_shape_;
  Blob<int> stride_;
  Blob<int> pad_;
  Blob<int> dilation_;
  Blob<int> conv_input_shape_;    // channels and spatial lengths of the convolution's input
  vector<int> col_buffer_shape_;  // rows and spatial lengths of the columns
  vector<int> output_shape_;      // spatial lengths of the tops
  const vector<int>* bottom_shape_ = nullptr;

  int num_spatial_axes_ = 0;
  int bottom_dim_ = 0;  // values per image of the bottom
  int top_dim_ = 0;     // values per image of the top
  int channel_axis_ = 0;
  int num_ = 0;       // images
  int channels_ = 0;  // of the bottom
  int group_ = 1;
  int out_spatial_dim_ = 0;  // spatial positions of the top
  int weight_offset_ = 0;    // weights per group
  int num_output_ = 0;       // channels of the top
  bool bias_term_ = true;
  bool is_1x1_ = false;  // the image serves as its own columns
  bool force_nd_im2col_ = false;

  int conv_out_channels_ = 0;  // of the convolution: num_output, or channels of a Deconvolution
  int conv_in_channels_ = 0;
  int conv_out_spatial_dim_ = 0;
  int kernel_dim_ = 0;     // rows of the columns, per group
  int col_offset_ = 0;     // values of the columns, per group
  int output_offset_ = 0;  // values of the output, per group
  ConvGeometry geometry_;
  Blob<Dtype> bias_multiplier_;  // ones, one per position
  Blob<double> bias_sums_;       // of backward_bias_of_all

 private:
  void read_axes();
  void make_weights();
  void check_bottoms(const Blobs& bottom) const;
  void set_geometry();
  /// For the sums and additions by channel of all images.
  ChannelShape top_channels(bool channels_last) const;
  Dtype* columns();

  Blob<Dtype> col_buffer_;  // on the CPU; on a GPU the columns are in the thread's workspace
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BASE_CONV_LAYER_HPP_
