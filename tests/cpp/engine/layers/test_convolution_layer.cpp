#include "layers/conv_reference.hpp"
#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ConvolutionLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<int> Ints;

  static std::string layer_text(const std::string& param) {
    return "type: 'Convolution' convolution_param { engine: " + std::string(TypeParam::engine()) +
           " weight_filler { type: 'gaussian' std: 0.5 } bias_filler { type: 'gaussian' std: 1 } " +
           param + " }";
  }
  /// Runs the layer on a random bottom and compares with the definition. `r` has everything except
  /// the lengths of the output and the kernel, which the test also gives.
  void expect_convolution(const std::string& param, const Ints& bottom_shape, ConvReference r,
                          bool bias = true) {
    SCOPED_TRACE(param);
    this->bottom.clear();
    this->top.clear();
    this->add_bottom(bottom_shape);
    auto layer = this->forward(layer_text(param));
    Ints top_shape = {bottom_shape[0], r.out_channels};
    top_shape.insert(top_shape.end(), r.output.begin(), r.output.end());
    ASSERT_EQ(this->top[0]->shape(), top_shape);
    ASSERT_EQ(layer->blobs().size(), bias ? 2u : 1u);
    const auto x = this->data(*this->bottom[0]), w = this->data(*layer->blobs()[0]);
    std::vector<double> y(this->top[0]->count(), 0);
    const int outputs = ConvReference::product(r.output);
    for (int n = 0; n < bottom_shape[0]; ++n) {
      const int in = n * this->bottom[0]->count(1), out = n * this->top[0]->count(1);
      r.each_product([&](int i, int k, int o) { y[out + o] += x[in + i] * w[k]; });
      for (int j = 0; bias && j < this->top[0]->count(1); ++j) {
        y[out + j] += layer->blobs()[1]->cpu_data()[j / outputs];
      }
    }
    this->expect_near(this->data(*this->top[0]), y);
  }
};
TYPED_TEST_SUITE(ConvolutionLayerTest, DtypesDevicesAndEngines);

TYPED_TEST(ConvolutionLayerTest, Plain) {
  this->expect_convolution("num_output: 4 kernel_size: 3 stride: 2", {2, 3, 6, 4},
                           {{6, 4}, {2, 1}, {3, 3}, {2, 2}, {0, 0}, {1, 1}, 3, 4, 1});
}

TYPED_TEST(ConvolutionLayerTest, Rectangular) {
  this->expect_convolution(
      "num_output: 2 kernel_h: 1 kernel_w: 4 stride_h: 3 stride_w: 1 pad_h: 0 pad_w: 2",
      {1, 3, 5, 6}, {{5, 6}, {2, 7}, {1, 4}, {3, 1}, {0, 2}, {1, 1}, 3, 2, 1});
  this->expect_convolution("num_output: 2 kernel_size: 2 kernel_size: 3 pad: 1 pad: 0",
                           {1, 1, 3, 4}, {{3, 4}, {4, 2}, {2, 3}, {1, 1}, {1, 0}, {1, 1}, 1, 2, 1});
}

TYPED_TEST(ConvolutionLayerTest, Groups) {
  this->expect_convolution("num_output: 6 kernel_size: 3 pad: 1 group: 3", {2, 6, 4, 5},
                           {{4, 5}, {4, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 6, 6, 3});
  this->expect_convolution("num_output: 8 kernel_size: 3 pad: 1 group: 4", {1, 4, 5, 5},
                           {{5, 5}, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 4, 8, 4});
}

TYPED_TEST(ConvolutionLayerTest, Dilation) {
  this->expect_convolution("num_output: 3 kernel_size: 3 dilation: 2 pad: 1 stride: 2",
                           {1, 2, 8, 7}, {{8, 7}, {3, 3}, {3, 3}, {2, 2}, {1, 1}, {2, 2}, 2, 3, 1});
  this->expect_convolution("num_output: 3 kernel_size: 2 dilation: 3 dilation: 1", {1, 2, 8, 7},
                           {{8, 7}, {5, 6}, {2, 2}, {1, 1}, {0, 0}, {3, 1}, 2, 3, 1});
}

TYPED_TEST(ConvolutionLayerTest, OneByOne) {
  this->expect_convolution("num_output: 4 kernel_size: 1 group: 2 bias_term: false", {2, 6, 3, 4},
                           {{3, 4}, {3, 4}, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 6, 4, 2}, false);
  this->expect_convolution("num_output: 4 kernel_size: 1 stride: 2", {2, 3, 5, 4},
                           {{5, 4}, {3, 2}, {1, 1}, {2, 2}, {0, 0}, {1, 1}, 3, 4, 1});
}

/// Without spatial axes it is an inner product, and needs no kernel_size.
TYPED_TEST(ConvolutionLayerTest, NoSpatialAxes) {
  for (const std::string more : {"", "kernel_size: 3 pad: 2 stride: 5", "bias_term: false"}) {
    this->expect_convolution("num_output: 4 " + more, {3, 5}, {{}, {}, {}, {}, {}, {}, 5, 4, 1},
                             more != "bias_term: false");
    this->expect_convolution("num_output: 4 group: 2 axis: -1 " + more, {3, 6},
                             {{}, {}, {}, {}, {}, {}, 6, 4, 2}, more != "bias_term: false");
  }
  this->bottom.clear();
  this->add_bottom({3, 5});
  EXPECT_ERROR(this->forward(this->layer_text("num_output: 4 kernel_size: 3 kernel_size: 3")),
               "kernel_size has 2 values for 0 spatial axes");
}

TYPED_TEST(ConvolutionLayerTest, PadLargerThanKernel) {
  this->expect_convolution("num_output: 2 kernel_size: 2 pad: 5 stride: 3", {1, 1, 2, 3},
                           {{2, 3}, {4, 4}, {2, 2}, {3, 3}, {5, 5}, {1, 1}, 1, 2, 1});
}

TYPED_TEST(ConvolutionLayerTest, AnyNumberOfAxes) {
  this->expect_convolution("num_output: 2 kernel_size: 3 pad: 1 stride: 2", {2, 3, 7},
                           {{7}, {4}, {3}, {2}, {1}, {1}, 3, 2, 1});
  this->expect_convolution(
      "num_output: 4 kernel_size: 2 kernel_size: 3 kernel_size: 2 stride: 1 stride: 2 stride: 1 "
      "pad: 0 pad: 1 pad: 1 dilation: 1 dilation: 1 dilation: 2 group: 2",
      {2, 2, 3, 5, 4}, {{3, 5, 4}, {2, 3, 4}, {2, 3, 2}, {1, 2, 1}, {0, 1, 1}, {1, 1, 2}, 2, 4, 2});
  this->expect_convolution("num_output: 3 kernel_size: 1", {4, 5},
                           {{}, {}, {}, {}, {}, {}, 5, 3, 1});
}

TYPED_TEST(ConvolutionLayerTest, GeneralIm2colIsTheSame) {
  this->expect_convolution("num_output: 4 kernel_size: 3 stride: 2 force_nd_im2col: true",
                           {2, 3, 6, 4}, {{6, 4}, {2, 1}, {3, 3}, {2, 2}, {0, 0}, {1, 1}, 3, 4, 1});
}

TYPED_TEST(ConvolutionLayerTest, AxisOfTheChannels) {
  this->add_bottom({2, 3, 4, 5, 6});
  this->forward(this->layer_text("num_output: 2 kernel_size: 3 axis: 2"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, 2, 3, 4}));
  const auto y = this->data(*this->top[0]);
  this->bottom[0]->Reshape({6, 4, 5, 6});
  Caffe::set_random_seed(1701);
  this->forward(this->layer_text("num_output: 2 kernel_size: 3 axis: -3"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{6, 2, 3, 4}));
}

TYPED_TEST(ConvolutionLayerTest, OneSetOfWeightsForSeveralBottoms) {
  this->add_bottom({2, 3, 5, 5});
  this->add_bottom({2, 3, 5, 5});
  this->add_top();
  this->add_top();
  auto layer = this->forward(this->layer_text("num_output: 2 kernel_size: 3"));
  EXPECT_EQ(layer->blobs().size(), 2u);
  const auto second = this->data(*this->top[1]);
  std::swap(this->bottom[0], this->bottom[1]);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->data(*this->top[0]), second);
  GradientOptions options;
  options.bottoms = {0, 1};
  this->check_gradient(this->layer_text("num_output: 2 kernel_size: 3"), options);
}

TYPED_TEST(ConvolutionLayerTest, Gradient) {
  this->add_bottom({2, 4, 5, 4});
  this->check_gradient(this->layer_text("num_output: 2 kernel_size: 3 stride: 2 pad: 1"));
  this->check_gradient(
      this->layer_text("num_output: 4 kernel_size: 2 dilation: 2 group: 2 bias_term: false"));
  this->check_gradient(this->layer_text("num_output: 4 kernel_size: 1 group: 2"));
}

TYPED_TEST(ConvolutionLayerTest, GradientInThreeAxes) {
  this->add_bottom({1, 2, 3, 4, 2});
  this->check_gradient(this->layer_text("num_output: 2 kernel_size: 2 pad: 1"));
}

TYPED_TEST(ConvolutionLayerTest, BackwardAddsToTheParametersAndObeysPropagateDown) {
  this->add_bottom({1, 1, 2, 2}, {1, 2, 3, 4});
  auto layer = this->forward(this->layer_text("num_output: 1 kernel_size: 1"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 4, typename TypeParam::Dtype(1));
  layer->blobs()[0]->mutable_cpu_diff()[0] = 5;
  layer->blobs()[1]->mutable_cpu_diff()[0] = 7;
  this->bottom[0]->mutable_cpu_diff()[0] = 9;
  layer->Backward(this->top, {false}, this->bottom);
  EXPECT_EQ(layer->blobs()[0]->cpu_diff()[0], 15);
  EXPECT_EQ(layer->blobs()[1]->cpu_diff()[0], 11);
  EXPECT_EQ(this->bottom[0]->cpu_diff()[0], 9);
  layer->set_param_propagate_down(0, false);
  layer->set_param_propagate_down(1, false);
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(layer->blobs()[0]->cpu_diff()[0], 15);
  EXPECT_EQ(layer->blobs()[1]->cpu_diff()[0], 11);
  EXPECT_EQ(this->bottom[0]->cpu_diff()[0], layer->blobs()[0]->cpu_data()[0]);
}

TYPED_TEST(ConvolutionLayerTest, RepeatsBitForBit) {
  this->add_bottom({4, 16, 20, 20});
  auto layer = this->forward(this->layer_text("num_output: 24 kernel_size: 3 pad: 1 group: 2"));
  this->fill_random(this->top[0], 8);
  const auto dy = this->data(*this->top[0]);
  std::vector<std::vector<double>> first;
  for (int run = 0; run < 3; ++run) {
    layer->Forward(this->bottom, this->top);
    std::copy(dy.begin(), dy.end(), this->top[0]->mutable_cpu_diff());
    for (const auto& blob : layer->blobs()) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), typename TypeParam::Dtype(0));
    }
    layer->Backward(this->top, {true}, this->bottom);
    const std::vector<std::vector<double>> now = {
        this->data(*this->top[0]), this->diff(*this->bottom[0]), this->diff(*layer->blobs()[0]),
        this->diff(*layer->blobs()[1])};
    if (run == 0) first = now;
    EXPECT_EQ(now, first);
  }
}

TYPED_TEST(ConvolutionLayerTest, TakesAnotherSize) {
  this->add_bottom({2, 3, 6, 5});
  auto layer = this->forward(this->layer_text("num_output: 2 kernel_size: 3 pad: 1"));
  this->bottom[0]->Reshape({1, 3, 9, 7});
  this->fill_random(this->bottom[0], 5);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 2, 9, 7}));
  EXPECT_NE(this->data(*this->top[0])[125], 0);
}

TYPED_TEST(ConvolutionLayerTest, KeepsValuesThatCameWithIt) {
  this->add_bottom({1, 1, 1, 2}, std::vector<double>{3, 4});
  const std::string stored =
      " blobs { num: 1 channels: 1 height: 1 width: 1 data: 2 }"
      " blobs { num: 1 channels: 1 height: 1 width: 1 data: 0.5 }";
  auto layer = this->forward(this->layer_text("num_output: 1 kernel_size: 1") + stored);
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{6.5, 8.5}));
  EXPECT_EQ(layer->blobs()[1]->shape(), (std::vector<int>{1}));
  auto wrong = this->make(this->layer_text("num_output: 1 kernel_size: 2 bias_term: false") +
                          " blobs { num: 1 channels: 1 height: 1 width: 1 data: 2 }");
  EXPECT_ERROR(wrong->SetUp(this->bottom, this->top),
               "the stored weights are 1 1 1 1 and should be 1 1 2 2");
}

TYPED_TEST(ConvolutionLayerTest, Errors) {
  this->add_bottom({1, 3, 4, 5});
  this->add_top();
  const auto set_up = [this](const std::string& param) {
    return error_of([&] { this->make(this->layer_text(param))->SetUp(this->bottom, this->top); });
  };
  EXPECT_PRED2(contains, set_up("num_output: 2"), "'under_test' (Convolution): kernel_size");
  EXPECT_PRED2(contains, set_up("kernel_size: 2"), "num_output is missing");
  EXPECT_PRED2(contains, set_up("num_output: 4 kernel_size: 2 group: 2"), "multiples of group");
  EXPECT_PRED2(contains, set_up("num_output: 2 kernel_size: 2 kernel_h: 2"), "not both");
  EXPECT_PRED2(contains, set_up("num_output: 2 kernel_size: 2 stride: 0"), "stride is 0");
  EXPECT_PRED2(contains, set_up("num_output: 2 kernel_size: 2 pad: 1 pad: 1 pad: 1"), "3 values");
  EXPECT_PRED2(contains, set_up("num_output: 2 kernel_size: 5"), "spatial axis 0 of the bottom");
  auto layer = this->forward(this->layer_text("num_output: 2 kernel_size: 2"));
  this->bottom[0]->Reshape({1, 2, 4, 5});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "made for 3 channels");
}

TYPED_TEST(ConvolutionLayerTest, RefusesInPlace) {
  this->add_bottom({1, 2, 3, 3});
  this->top = {this->bottom[0]};
  auto layer = this->make(this->layer_text("num_output: 2 kernel_size: 1") + " top: 'y'");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top),
               "cannot work in place (top 'y' is bottom 0): give its top a different name");
}

}  // namespace caffe
