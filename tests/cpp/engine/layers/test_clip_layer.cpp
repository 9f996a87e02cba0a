#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ClipLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ClipLayerTest, DtypesAndDevices);

TYPED_TEST(ClipLayerTest, Values) {
  this->add_bottom({6}, {-2, -1, 0, 0.5, 3, std::nan("")});
  this->forward("type: 'Clip' clip_param { min: -1 max: 2 }");
  std::vector<double> y = this->data(*this->top[0]);
  EXPECT_TRUE(std::isnan(y.back()));
  y.pop_back();
  this->expect_near(y, {-1, -1, 0, 0.5, 2});
}

TYPED_TEST(ClipLayerTest, Gradient) {
  GradientOptions options;
  options.kink = 0.5;
  options.kink_range = 0.02;
  this->add_bottom({2, 3, 4, 5});
  this->check_gradient("type: 'Clip' clip_param { min: -0.5 max: 0.5 }", options);
}

TYPED_TEST(ClipLayerTest, TheEndsHaveAGradient) {
  this->add_bottom({4}, {-1.5, -1, 2, 2.5});
  auto layer = this->forward("type: 'Clip' clip_param { min: -1 max: 2 }");
  std::fill_n(this->top[0]->mutable_cpu_diff(), 4, 3);
  layer->Backward(this->top, {true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 3, 3, 0});
}

TYPED_TEST(ClipLayerTest, InPlaceRunsForwardAndRefusesBackward) {
  this->add_bottom({3}, {-2, 0, 3});
  this->top = this->bottom;
  auto layer = this->forward("type: 'Clip' clip_param { min: -1 max: 2 }");
  this->expect_near(this->data(*this->top[0]), {-1, 0, 2});
  EXPECT_ERROR(layer->Backward(this->top, {true}, this->bottom), "only without a backward pass");
}

TYPED_TEST(ClipLayerTest, RefusesMinAboveMax) {
  this->add_bottom({3});
  this->add_top();
  EXPECT_ERROR(
      this->make("type: 'Clip' clip_param { min: 2 max: 1 }")->SetUp(this->bottom, this->top),
      "'under_test' (Clip): min is 2 and max 1");
}

}  // namespace caffe
