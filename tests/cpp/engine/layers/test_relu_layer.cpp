#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ReLULayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ReLULayerTest, DtypesAndDevices);

TYPED_TEST(ReLULayerTest, Values) {
  this->add_bottom({1, 4}, {-2, -0.0, 0.5, 3});
  this->forward("type: 'ReLU'");
  this->expect_near(this->data(*this->top[0]), {0, 0, 0.5, 3});
  this->forward("type: 'ReLU' relu_param { negative_slope: 0.125 }");
  this->expect_near(this->data(*this->top[0]), {-0.25, 0, 0.5, 3});
}

TYPED_TEST(ReLULayerTest, Gradient) {
  GradientOptions options;
  options.kink_range = 0.02;
  this->add_bottom({2, 3, 4, 5});
  this->check_gradient("type: 'ReLU' relu_param { negative_slope: 0.125 }", options);
  this->top = {this->bottom[0]};
  this->check_gradient("type: 'ReLU'", options);
}

TYPED_TEST(ReLULayerTest, RefusesInPlaceWithNegativeSlopeBelowZero) {
  this->add_bottom({2, 3});
  this->top = {this->bottom[0]};
  auto layer = this->make("type: 'ReLU' relu_param { negative_slope: -1 }");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (ReLU): negative_slope");
}

}  // namespace caffe
