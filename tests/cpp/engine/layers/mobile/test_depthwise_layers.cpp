#include "caffe/net.hpp"
#include "layers/conv_reference.hpp"
#include "layers/layer_test.hpp"
#include "layers/onednn/net_pair.hpp"

namespace caffe {

/// What both layers need.
template <typename TypeParam>
class DepthwiseLayersTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  static std::string convolution(const std::string& type, const std::string& param) {
    return "type: '" + type + "' convolution_param { " + param +
           " weight_filler { type: 'uniform' min: -1 } bias_filler { type: 'uniform' } }";
  }
  /// One product after another, in double.
  std::vector<double> expected(const Layer<Dtype>& layer, int kernel, int stride, int pad,
                               int dilation) const {
    const Blob<Dtype>& x = *this->bottom[0];
    auto& blobs = const_cast<Layer<Dtype>&>(layer).blobs();
    const int channels = x.shape(1);
    const std::vector<int> image = {x.shape(2), x.shape(3)},
                           output = {this->top[0]->shape(2), this->top[0]->shape(3)};
    const ConvReference reference = {
        image,    output,   {kernel, kernel}, {stride, stride}, {pad, pad}, {dilation, dilation},
        channels, channels, channels};
    std::vector<double> y(this->top[0]->count());
    for (int n = 0; n < x.shape(0); ++n) {
      const int to = n * channels * output[0] * output[1];
      for (int i = 0; blobs.size() > 1 && i < channels * output[0] * output[1]; ++i) {
        y[to + i] = blobs[1]->cpu_data()[i / (output[0] * output[1])];
      }
      reference.each_product([&](int i, int w, int o) {
        y[to + o] += double(x.cpu_data()[n * x.count(1) + i]) * blobs[0]->cpu_data()[w];
      });
    }
    return y;
  }
};

template <typename TypeParam>
class ConvolutionDepthwiseLayerTest : public DepthwiseLayersTest<TypeParam> {};
template <typename TypeParam>
class DepthwiseConvolutionLayerTest : public DepthwiseLayersTest<TypeParam> {};
TYPED_TEST_SUITE(ConvolutionDepthwiseLayerTest, DtypesAndDevices);
TYPED_TEST_SUITE(DepthwiseConvolutionLayerTest, DtypesAndDevices);

TYPED_TEST(ConvolutionDepthwiseLayerTest, ByHand) {
  this->add_bottom({1, 2, 1, 3}, {1, 2, 3, 4, 5, 6});
  auto layer = this->make(
      "type: 'ConvolutionDepthwise' convolution_param { kernel_h: 1 kernel_w: 2 bias_term: true }");
  this->add_top();
  layer->SetUp(this->bottom, this->top);
  const double weights[] = {1, 10, 100, 1000};
  for (int i = 0; i < 4; ++i) layer->blobs()[0]->mutable_cpu_data()[i] = weights[i];
  layer->blobs()[1]->mutable_cpu_data()[1] = 7;
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 2, 1, 2}));
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{21, 32, 5407, 6507}));
}

TYPED_TEST(ConvolutionDepthwiseLayerTest, IsTheDefinition) {
  struct Case {
    int channels, kernel, stride, pad, dilation;
    bool bias;
  };
  for (const Case& one : std::vector<Case>{{16, 3, 1, 1, 1, true},
                                           {16, 3, 2, 1, 1, false},
                                           {5, 3, 1, 1, 1, true},
                                           {24, 5, 2, 2, 1, true},
                                           {3, 3, 1, 2, 2, true},
                                           {1, 2, 3, 0, 1, true}}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, one.channels, 9, 7});
    std::ostringstream param;
    param << "kernel_size: " << one.kernel << " stride: " << one.stride << " pad: " << one.pad
          << " dilation: " << one.dilation << " bias_term: " << (one.bias ? "true" : "false")
          << " num_output: 3 group: 3";  // not read
    auto layer = this->forward(this->convolution("ConvolutionDepthwise", param.str()));
    EXPECT_EQ(layer->blobs().size(), one.bias ? 2u : 1u);
    EXPECT_EQ(layer->blobs()[0]->shape(),
              (std::vector<int>{one.channels, 1, one.kernel, one.kernel}));
    this->expect_near(this->data(*this->top[0]),
                      this->expected(*layer, one.kernel, one.stride, one.pad, one.dilation));
    if (this->HasFatalFailure()) FAIL() << param.str();
  }
}

/// The three types, bit for bit, with the same weights.
TYPED_TEST(ConvolutionDepthwiseLayerTest, IsAConvolutionByGroups) {
  typedef typename TypeParam::Dtype Dtype;
  this->add_bottom({2, 16, 8, 9});
  const std::string param = "kernel_size: 3 pad: 1 stride: 2 num_output: 16 group: 16";
  std::vector<std::vector<double>> found;
  NetParameter stored;
  for (const std::string type : {"Convolution", "ConvolutionDepthwise", "DepthwiseConvolution"}) {
    this->top.clear();
    auto layer = this->forward(this->convolution(type, param));
    if (type == "Convolution") {
      layer->ToProto(stored.add_layer());
    } else {
      for (int i : {0, 1}) layer->blobs()[i]->FromProto(stored.layer(0).blobs(i));
      layer->Forward(this->bottom, this->top);
    }
    std::copy(this->top[0]->cpu_data(), this->top[0]->cpu_data() + this->top[0]->count(),
              this->top[0]->mutable_cpu_diff());
    for (const auto& blob : layer->blobs()) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), Dtype(1));  // gradients are added
    }
    layer->Backward(this->top, {true}, this->bottom);
    found.push_back(this->data(*this->top[0]));
    found.push_back(this->diff(*this->bottom[0]));
    for (const auto& blob : layer->blobs()) found.push_back(this->diff(*blob));
    EXPECT_EQ(layer->type(), type);
    LayerParameter written;
    layer->ToProto(&written);
    EXPECT_EQ(written.type(), type);
    EXPECT_EQ(written.blobs_size(), 2);
  }
  ASSERT_EQ(found.size(), 12u);
  for (int i = 4; i < 12; ++i) EXPECT_EQ(found[i], found[i % 4]) << i;
}

TYPED_TEST(DepthwiseConvolutionLayerTest, ReadsAllFields) {
  this->add_bottom({2, 4, 6, 5});
  auto layer = this->forward(this->convolution(
      "DepthwiseConvolution", "num_output: 6 group: 2 kernel_size: 3 dilation: 2 pad: 2"));
  EXPECT_EQ(layer->blobs()[0]->shape(), (std::vector<int>{6, 2, 3, 3}));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 6, 6, 5}));
  this->add_bottom({2, 4, 6, 5});
  this->add_top();
  this->forward(this->convolution("DepthwiseConvolution", "num_output: 4 group: 4 kernel_size: 1"));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{2, 4, 6, 5}));
}

TYPED_TEST(ConvolutionDepthwiseLayerTest, AnotherBatchAndSize) {
  this->add_bottom({2, 8, 6, 7});
  auto layer = this->forward(this->convolution("ConvolutionDepthwise", "kernel_size: 3 pad: 1"));
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{5, 8, 6, 7}, {1, 8, 6, 7}, {2, 8, 3, 12}}) {
    this->bottom[0]->Reshape(shape);
    this->fill_random(this->bottom[0], 7);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), shape);
    this->expect_near(this->data(*this->top[0]), this->expected(*layer, 3, 1, 1, 1));
  }
  this->bottom[0]->Reshape({2, 9, 6, 7});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "was made for 8 channels");
}

TYPED_TEST(ConvolutionDepthwiseLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5});
  this->check_gradient(
      this->convolution("ConvolutionDepthwise", "kernel_size: 3 pad: 1 stride: 2"));
}

TYPED_TEST(DepthwiseConvolutionLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5});
  this->check_gradient(this->convolution("DepthwiseConvolution",
                                         "num_output: 6 group: 3 kernel_h: 2 kernel_w: 3 pad: 1"));
}

TYPED_TEST(ConvolutionDepthwiseLayerTest, FixedParametersGetNoGradient) {
  this->add_bottom({1, 3, 4, 5});
  auto layer = this->forward(this->convolution("ConvolutionDepthwise", "kernel_size: 3"));
  layer->set_param_propagate_down(0, false);
  std::fill_n(this->top[0]->mutable_cpu_diff(), this->top[0]->count(), 1);
  layer->Backward(this->top, {false}, this->bottom);
  EXPECT_EQ(this->diff(*layer->blobs()[0]), std::vector<double>(27, 0));
  EXPECT_EQ(this->diff(*layer->blobs()[1]), std::vector<double>(3, 6));
}

TYPED_TEST(ConvolutionDepthwiseLayerTest, StoredValuesAndLosses) {
  this->add_bottom({1, 2, 1, 2}, {1, 2, 3, 4});
  auto layer = this->make(
      "type: 'ConvolutionDepthwise' loss_weight: 2 convolution_param { kernel_size: 1 bias_term: "
      "false } blobs { shape { dim: 2 dim: 1 dim: 1 dim: 1 } data: 10 data: 100 }");
  this->add_top();
  layer->SetUp(this->bottom, this->top);
  EXPECT_EQ(layer->Forward(this->bottom, this->top), 2 * (10 + 20 + 300 + 400));
}

TYPED_TEST(ConvolutionDepthwiseLayerTest, Errors) {
  this->add_bottom({1, 3, 4, 5});
  this->add_top();
  EXPECT_ERROR(this->make("type: 'ConvolutionDepthwise'")->SetUp(this->bottom, this->top),
               "layer 'under_test' (Convolution): kernel_size is missing");
  EXPECT_ERROR(this->make("type: 'DepthwiseConvolution' convolution_param { kernel_size: 3 }")
                   ->SetUp(this->bottom, this->top),
               "num_output is missing or 0");
  this->bottom[0]->Reshape({1, 0, 4, 5});
  EXPECT_ERROR(this->make("type: 'ConvolutionDepthwise' convolution_param { kernel_size: 3 }")
                   ->SetUp(this->bottom, this->top),
               "(ConvolutionDepthwise): the bottom has no channels");
}

/// A block of MobileNet; `depthwise` is the type and the parameters of its middle convolution.
std::string block_of_mobilenet(const std::string& type, const std::string& param) {
  const auto layer = [](const std::string& type, const std::string& from, const std::string& to,
                        const std::string& param) {
    return " layer { name: '" + to + "_" + type + "' type: '" + type + "' bottom: '" + from +
           "' top: '" + to + "' " + param + " }";
  };
  const auto convolution = [](const std::string& param) {
    return "convolution_param { weight_filler { type: 'xavier' } " + param + " }";
  };
  return "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 32 dim: 14 "
         "dim: 14 } } }" +
         layer("Convolution", "x", "in", convolution("num_output: 32 kernel_size: 1")) +
         layer("ReLU6", "in", "in", "") +
         layer(type, "in", "dw", convolution("kernel_size: 3 pad: 1 " + param)) +
         layer("ReLU6", "dw", "dw", "") +
         layer("Convolution", "dw", "out", convolution("num_output: 64 kernel_size: 1"));
}

/// The block stays in oneDNN's layout from the first convolution to the last, as with a Convolution
/// by groups.
TEST(DepthwiseLayers, ConvertNothingInABlockOfMobileNet) {
  SKIP_WITHOUT_BLOCKS();
  NetPair usual(block_of_mobilenet("Convolution", "num_output: 32 group: 32"));
  NetPair pair(block_of_mobilenet("ConvolutionDepthwise", ""));
  for (NetPair* const each : {&usual, &pair}) {
    each->fill_inputs(-4, 4);
    EXPECT_LE(each->forward(), 1) << "the input's";
  }
  EXPECT_NE(block_of(*pair.net.blob_by_name("dw")), 0);
  EXPECT_EQ(block_of(*pair.net.blob_by_name("dw")), block_of(*pair.net.blob_by_name("in")));
  EXPECT_EQ(pair.backward(), usual.backward());
  pair.expect_equal();
}

}  // namespace caffe
