// Every header of a layer; layers used without a net, and classes that derive from them.

#include <iostream>
#include <vector>

#include "caffe/layers/absval_layer.hpp"
#include "caffe/layers/accuracy_layer.hpp"
#include "caffe/layers/argmax_layer.hpp"
#include "caffe/layers/base_conv_layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/batch_reindex_layer.hpp"
#include "caffe/layers/bias_layer.hpp"
#include "caffe/layers/bnll_layer.hpp"
#include "caffe/layers/clip_layer.hpp"
#include "caffe/layers/concat_layer.hpp"
#include "caffe/layers/contrastive_loss_layer.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/crop_layer.hpp"
#include "caffe/layers/cudnn_conv_layer.hpp"
#include "caffe/layers/cudnn_deconv_layer.hpp"
#include "caffe/layers/cudnn_lcn_layer.hpp"
#include "caffe/layers/cudnn_lrn_layer.hpp"
#include "caffe/layers/cudnn_pooling_layer.hpp"
#include "caffe/layers/cudnn_relu_layer.hpp"
#include "caffe/layers/cudnn_sigmoid_layer.hpp"
#include "caffe/layers/cudnn_softmax_layer.hpp"
#include "caffe/layers/cudnn_tanh_layer.hpp"
#include "caffe/layers/data_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/layers/dropout_layer.hpp"
#include "caffe/layers/dummy_data_layer.hpp"
#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/elu_layer.hpp"
#include "caffe/layers/embed_layer.hpp"
#include "caffe/layers/euclidean_loss_layer.hpp"
#include "caffe/layers/exp_layer.hpp"
#include "caffe/layers/filter_layer.hpp"
#include "caffe/layers/flatten_layer.hpp"
#include "caffe/layers/hdf5_data_layer.hpp"
#include "caffe/layers/hdf5_output_layer.hpp"
#include "caffe/layers/hinge_loss_layer.hpp"
#include "caffe/layers/im2col_layer.hpp"
#include "caffe/layers/image_data_layer.hpp"
#include "caffe/layers/infogain_loss_layer.hpp"
#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/layers/input_layer.hpp"
#include "caffe/layers/log_layer.hpp"
#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/layers/multinomial_logistic_loss_layer.hpp"
#include "caffe/layers/mvn_layer.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/parameter_layer.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/layers/power_layer.hpp"
#include "caffe/layers/prelu_layer.hpp"
#include "caffe/layers/python_layer.hpp"
#include "caffe/layers/reduction_layer.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/reshape_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/layers/sigmoid_cross_entropy_loss_layer.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/layers/silence_layer.hpp"
#include "caffe/layers/slice_layer.hpp"
#include "caffe/layers/softmax_layer.hpp"
#include "caffe/layers/softmax_loss_layer.hpp"
#include "caffe/layers/split_layer.hpp"
#include "caffe/layers/spp_layer.hpp"
#include "caffe/layers/swish_layer.hpp"
#include "caffe/layers/tanh_layer.hpp"
#include "caffe/layers/threshold_layer.hpp"
#include "caffe/layers/tile_layer.hpp"
#include "caffe/layers/window_data_layer.hpp"

namespace caffe {

/// Top = the convolution of the bottom, then 1 added: calls the methods of its base.
template <typename Dtype>
class PlusOneConvolutionLayer : public ConvolutionLayer<Dtype> {
 public:
  explicit PlusOneConvolutionLayer(const LayerParameter& param) : ConvolutionLayer<Dtype>(param) {}
  virtual inline const char* type() const { return "PlusOneConvolution"; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    ConvolutionLayer<Dtype>::Forward_cpu(bottom, top);
    CHECK_EQ(this->kernel_shape_.cpu_data()[0], 2);
    CHECK_EQ(this->num_output_, 1);
    caffe_add_scalar(top[0]->count(), Dtype(1), top[0]->mutable_cpu_data());
  }
};

/// A convolution of its own, image by image, with the products of the common base.
template <typename Dtype>
class OwnConvolutionLayer : public BaseConvolutionLayer<Dtype> {
 public:
  explicit OwnConvolutionLayer(const LayerParameter& param) : BaseConvolutionLayer<Dtype>(param) {}
  virtual inline const char* type() const { return "OwnConvolution"; }

 protected:
  virtual inline bool reverse_dimensions() { return false; }
  virtual void compute_output_shape() {
    this->output_shape_.clear();
    for (int i = 0; i < this->num_spatial_axes_; ++i) {
      this->output_shape_.push_back(this->input_shape(i + 1) - this->kernel_shape_.cpu_data()[i] +
                                    1);
    }
  }
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    const Dtype* weight = this->blobs_[0]->cpu_data();
    for (int n = 0; n < this->num_; ++n) {
      this->forward_cpu_gemm(bottom[0]->cpu_data() + n * this->bottom_dim_, weight,
                             top[0]->mutable_cpu_data() + n * this->top_dim_);
      this->forward_cpu_bias(top[0]->mutable_cpu_data() + n * this->top_dim_,
                             this->blobs_[1]->cpu_data());
    }
  }
  virtual void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&,
                            const vector<Blob<Dtype>*>&) {
    NOT_IMPLEMENTED;
  }
};

template <typename Dtype>
class HalfLossLayer : public EuclideanLossLayer<Dtype> {
 public:
  explicit HalfLossLayer(const LayerParameter& param) : EuclideanLossLayer<Dtype>(param) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    EuclideanLossLayer<Dtype>::Forward_cpu(bottom, top);
    top[0]->mutable_cpu_data()[0] /= 2;
  }
};

template <typename Dtype>
class CountingDataLayer : public BaseDataLayer<Dtype> {
 public:
  explicit CountingDataLayer(const LayerParameter& param) : BaseDataLayer<Dtype>(param), next_(0) {}
  virtual void DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
    top[0]->Reshape(1, 1, 1, 2);
  }
  virtual void Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
    caffe_set(top[0]->count(), Dtype(next_++), top[0]->mutable_cpu_data());
  }

 private:
  int next_;
};

template <typename Dtype>
class Harness {
 public:
  Harness() : bottom_(new Blob<Dtype>(1, 1, 2, 2)), other_(new Blob<Dtype>(1, 1, 2, 2)) {
    for (int i = 0; i < 4; ++i) bottom_->mutable_cpu_data()[i] = i;
    bottoms_.push_back(bottom_.get());
    tops_.push_back(&top_);
  }
  /// The first value of the layer's first top.
  Dtype run(Layer<Dtype>* layer) {
    layer->SetUp(bottoms_, tops_);
    layer->Forward(bottoms_, tops_);
    return top_.cpu_data()[0];
  }

  shared_ptr<Blob<Dtype>> bottom_, other_;
  Blob<Dtype> top_;
  vector<Blob<Dtype>*> bottoms_, tops_;
};

template <typename Dtype>
static LayerParameter convolution() {
  LayerParameter param;
  ConvolutionParameter* convolution_param = param.mutable_convolution_param();
  convolution_param->add_kernel_size(2);
  convolution_param->set_num_output(1);
  convolution_param->mutable_weight_filler()->set_type("constant");
  convolution_param->mutable_weight_filler()->set_value(1);
  return param;
}

template <typename Dtype>
static void check_convolutions() {
  PlusOneConvolutionLayer<Dtype> plus_one(convolution<Dtype>());
  OwnConvolutionLayer<Dtype> own(convolution<Dtype>());
  CuDNNConvolutionLayer<Dtype> cudnn(convolution<Dtype>());
  CHECK_EQ(Harness<Dtype>().run(&plus_one), 7);
  CHECK_EQ(Harness<Dtype>().run(&own), 6);
  CHECK_EQ(Harness<Dtype>().run(&cudnn), 6);
}

template <typename Dtype>
static void check_others() {
  LayerParameter param;
  param.mutable_pooling_param()->set_kernel_size(2);
  param.mutable_power_param()->set_shift(3);
  PoolingLayer<Dtype> pooling(param);
  CuDNNPoolingLayer<Dtype> cudnn_pooling(param);
  PowerLayer<Dtype> power(param);
  CuDNNReLULayer<Dtype> relu(param);
  CuDNNSigmoidLayer<Dtype> sigmoid(param);
  CuDNNSoftmaxLayer<Dtype> softmax(param);
  CuDNNTanHLayer<Dtype> tanh(param);
  CuDNNLRNLayer<Dtype> lrn(param);
  CHECK_EQ(Harness<Dtype>().run(&pooling), 3);
  CHECK_EQ(Harness<Dtype>().run(&cudnn_pooling), 3);
  CHECK_EQ(Harness<Dtype>().run(&power), 3);
  CHECK_EQ(Harness<Dtype>().run(&relu), 0);
  CHECK_EQ(Harness<Dtype>().run(&sigmoid), Dtype(0.5));
  CHECK_EQ(Harness<Dtype>().run(&softmax), 1);
  CHECK_EQ(Harness<Dtype>().run(&tanh), 0);
  CHECK_EQ(Harness<Dtype>().run(&lrn), 0);
  CHECK_STREQ(lrn.type(), "LRN");

  Harness<Dtype> loss;
  loss.bottoms_.push_back(loss.other_.get());
  HalfLossLayer<Dtype> half(param);
  CHECK_EQ(loss.run(&half), Dtype(3.5));

  Harness<Dtype> data;
  data.bottoms_.clear();
  CountingDataLayer<Dtype> counting(param);
  CHECK_EQ(data.run(&counting), 0);
  counting.Forward(data.bottoms_, data.tops_);
  CHECK_EQ(data.top_.cpu_data()[1], 1);
  CHECK(dynamic_cast<PythonLayer<Dtype>*>(static_cast<Layer<Dtype>*>(&counting)) == NULL);
}

}  // namespace caffe

int main(int, char** argv) {
  FLAGS_minloglevel = 1;
  ::google::InitGoogleLogging(argv[0]);
  caffe::check_convolutions<float>();
  caffe::check_convolutions<double>();
  caffe::check_others<float>();
  caffe::check_others<double>();
  std::cout << "OK" << std::endl;
}
