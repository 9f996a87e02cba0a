#include "layers/conv_reference.hpp"
#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class DeconvolutionLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string layer_text(const std::string& param) {
    return "type: 'Deconvolution' convolution_param { engine: " + std::string(TypeParam::engine()) +
           " weight_filler { type: 'gaussian' std: 0.5 } bias_filler { type: 'gaussian' std: 1 } " +
           param + " }";
  }
  /// `r` is the convolution whose adjoint this is: its output is the bottom.
  void expect_deconvolution(const std::string& param, int num, const ConvReference& r) {
    SCOPED_TRACE(param);
    this->bottom.clear();
    this->top.clear();
    std::vector<int> shape = {num, r.out_channels}, top_shape = {num, r.in_channels};
    shape.insert(shape.end(), r.output.begin(), r.output.end());
    top_shape.insert(top_shape.end(), r.image.begin(), r.image.end());
    this->add_bottom(shape);
    auto layer = this->forward(layer_text(param));
    ASSERT_EQ(this->top[0]->shape(), top_shape);
    const auto x = this->data(*this->bottom[0]), w = this->data(*layer->blobs()[0]);
    std::vector<double> y(this->top[0]->count(), 0);
    const int places = ConvReference::product(r.image);
    for (int n = 0; n < num; ++n) {
      const int in = n * this->bottom[0]->count(1), out = n * this->top[0]->count(1);
      r.each_product([&](int i, int k, int o) { y[out + i] += x[in + o] * w[k]; });
      for (int j = 0; j < this->top[0]->count(1); ++j) {
        y[out + j] += layer->blobs()[1]->cpu_data()[j / places];
      }
    }
    this->expect_near(this->data(*this->top[0]), y);
  }
};
TYPED_TEST_SUITE(DeconvolutionLayerTest, DtypesDevicesAndEngines);

TYPED_TEST(DeconvolutionLayerTest, Values) {
  this->expect_deconvolution("num_output: 4 kernel_size: 3 stride: 2", 2,
                             {{7, 5}, {3, 2}, {3, 3}, {2, 2}, {0, 0}, {1, 1}, 4, 3, 1});
  this->expect_deconvolution("num_output: 2 kernel_size: 4 stride: 2 pad: 1 group: 2", 1,
                             {{6, 8}, {3, 4}, {4, 4}, {2, 2}, {1, 1}, {1, 1}, 2, 4, 2});
  this->expect_deconvolution("num_output: 2 kernel_size: 1", 2,
                             {{3, 4}, {3, 4}, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 2, 3, 1});
  this->expect_deconvolution("num_output: 2 kernel_h: 2 kernel_w: 3 dilation: 2 pad: 1", 1,
                             {{4, 7}, {4, 5}, {2, 3}, {1, 1}, {1, 1}, {2, 2}, 2, 3, 1});
  this->expect_deconvolution(
      "num_output: 2 kernel_size: 2 stride: 2", 1,
      {{4, 6, 2}, {2, 3, 1}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}, 2, 2, 1});
}

TYPED_TEST(DeconvolutionLayerTest, Gradient) {
  this->add_bottom({2, 4, 2, 3});
  this->check_gradient(this->layer_text("num_output: 2 kernel_size: 3 stride: 2 pad: 1 group: 2"));
  this->check_gradient(this->layer_text("num_output: 3 kernel_size: 1"));
  GradientOptions bottom_only;
  bottom_only.params = false;
  this->check_gradient(this->layer_text("num_output: 2 kernel_size: 2"), bottom_only);
}

TYPED_TEST(DeconvolutionLayerTest, EnlargesBilinearly) {
  this->add_bottom({1, 1, 1, 3}, {1, 3, 7});
  this->forward(
      "type: 'Deconvolution' convolution_param { num_output: 1 kernel_size: 4 stride: 2 pad: 1 "
      "bias_term: false weight_filler { type: 'bilinear' } }");
  const auto y = this->data(*this->top[0]);
  ASSERT_EQ(y.size(), 12u);
  this->expect_near({y[1], y[2], y[3], y[4]}, {0.75 * 1.5, 0.75 * 2.5, 0.75 * 4, 0.75 * 6});
}

TYPED_TEST(DeconvolutionLayerTest, Errors) {
  this->add_bottom({1, 3, 1, 1});
  this->add_top();
  auto layer = this->make(this->layer_text("num_output: 2 kernel_size: 2 pad: 1"));
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "too short: kernel 2");
  this->top = {this->bottom[0]};
  layer = this->make(this->layer_text("num_output: 3 kernel_size: 1"));
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "in place");
}

}  // namespace caffe
