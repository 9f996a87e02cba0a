#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class AbsValLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(AbsValLayerTest, DtypesAndDevices);

TYPED_TEST(AbsValLayerTest, ValuesAlsoInPlace) {
  this->add_bottom({4}, {-2, 0, 0.5, -3});
  this->forward("type: 'AbsVal'");
  this->expect_near(this->data(*this->top[0]), {2, 0, 0.5, 3});
  this->top = this->bottom;
  this->forward("type: 'AbsVal'");
  this->expect_near(this->data(*this->top[0]), {2, 0, 0.5, 3});
}

TYPED_TEST(AbsValLayerTest, Gradient) {
  GradientOptions options;
  options.kink_range = 0.02;
  this->add_bottom({2, 3, 4, 5});
  this->check_gradient("type: 'AbsVal'", options);
}

TYPED_TEST(AbsValLayerTest, RefusesBackwardInPlace) {
  this->add_bottom({3});
  this->top = this->bottom;
  auto layer = this->forward("type: 'AbsVal'");
  layer->Backward(this->top, {false}, this->bottom);
  EXPECT_ERROR(
      layer->Backward(this->top, {true}, this->bottom),
      "'under_test' (AbsVal): works in place, which is possible only without a backward pass");
}

}  // namespace caffe
