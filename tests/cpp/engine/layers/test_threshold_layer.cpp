#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ThresholdLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ThresholdLayerTest, DtypesAndDevices);

TYPED_TEST(ThresholdLayerTest, Values) {
  this->add_bottom({4}, {-2, 0, 0.5, 3});
  this->forward("type: 'Threshold'");
  this->expect_near(this->data(*this->top[0]), {0, 0, 1, 1});
  this->forward("type: 'Threshold' threshold_param { threshold: 0.5 }");
  this->expect_near(this->data(*this->top[0]), {0, 0, 0, 1});
  this->top = this->bottom;
  this->forward("type: 'Threshold'");
  this->expect_near(this->data(*this->top[0]), {0, 0, 1, 1});
}

TYPED_TEST(ThresholdLayerTest, HasNoGradient) {
  this->add_bottom({4});
  auto layer = this->forward("type: 'Threshold'");
  layer->Backward(this->top, {false}, this->bottom);
  EXPECT_ERROR(layer->Backward(this->top, {true}, this->bottom),
               "'under_test' (Threshold): a step has no gradient");
}

}  // namespace caffe
