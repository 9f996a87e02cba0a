#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class Im2colLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(Im2colLayerTest, DtypesAndDevices);

TYPED_TEST(Im2colLayerTest, Values) {
  this->add_bottom({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6});
  this->forward("type: 'Im2col' convolution_param { kernel_size: 2 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 4, 1, 2}));
  this->expect_near(this->data(*this->top[0]), {1, 2, 2, 3, 4, 5, 5, 6});
  this->forward(
      "type: 'Im2col' convolution_param { kernel_h: 1 kernel_w: 2 pad_h: 0 pad_w: 1 stride: 2 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 2, 1, 2}));
  this->expect_near(this->data(*this->top[0]), {0, 2, 1, 3});
}

TYPED_TEST(Im2colLayerTest, OneAxisAndTwoImageAxes) {
  this->add_bottom({2, 1, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  this->forward("type: 'Im2col' convolution_param { axis: 2 kernel_size: 2 dilation: 2 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 1, 4, 1}));
  this->expect_near(this->data(*this->top[0]), {1, 3, 4, 6, 7, 9, 10, 12});
}

TYPED_TEST(Im2colLayerTest, Gradient) {
  this->add_bottom({2, 2, 5, 4});
  this->check_gradient("type: 'Im2col' convolution_param { kernel_size: 3 pad: 1 stride: 2 }");
  this->top[0]->Reshape({1});
  this->check_gradient("type: 'Im2col' convolution_param { kernel_size: 2 dilation: 2 }");
}

TYPED_TEST(Im2colLayerTest, Errors) {
  this->add_bottom({2, 3, 4, 4});
  this->add_top();
  const auto set_up = [&](const std::string& text) {
    this->make("type: 'Im2col' convolution_param { " + text + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""), "'under_test' (Im2col): kernel_size is missing");
  EXPECT_ERROR(set_up("kernel_size: 5"), "spatial axis 0 of the bottom");
  EXPECT_ERROR(set_up("kernel_size: 0"), "kernel_size is 0, which must be at least 1");
  EXPECT_ERROR(set_up("kernel_size: 2 axis: 3"), "takes 1 to 10 spatial axes after axis 3");
  EXPECT_ERROR(set_up("kernel_size: 40000 pad: 40000"), "kernel_size is too large");
  this->top[0] = this->bottom[0];
  EXPECT_ERROR(set_up("kernel_size: 1"), "cannot work in place");
}

}  // namespace caffe
