#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ParameterLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ParameterLayerTest, DtypesAndDevices);

TYPED_TEST(ParameterLayerTest, GivesWhatItLearns) {
  auto layer = this->forward("type: 'Parameter' parameter_param { shape { dim: 2 dim: 3 } }");
  ASSERT_EQ(layer->blobs()[0]->shape(), (std::vector<int>{2, 3}));
  EXPECT_EQ(this->data(*this->top[0]), std::vector<double>(6, 0));
  this->fill_random(layer->blobs()[0].get(), 3);
  layer->Forward({}, this->top);
  EXPECT_EQ(this->data(*this->top[0]), this->data(*layer->blobs()[0]));
  this->top[0]->mutable_cpu_data()[0] = 5;  // as a later layer in place does
  EXPECT_NE(layer->blobs()[0]->cpu_data()[0], 5);
}

TYPED_TEST(ParameterLayerTest, AddsToItsGradient) {
  auto layer = this->forward("type: 'Parameter' parameter_param { shape { dim: 2 } }");
  this->top[0]->mutable_cpu_diff()[0] = 3;
  for (int pass = 0; pass < 2; ++pass) layer->Backward(this->top, {}, {});
  this->expect_near(this->diff(*layer->blobs()[0]), {6, 0});
  layer->set_param_propagate_down(0, false);
  layer->Backward(this->top, {}, {});
  this->expect_near(this->diff(*layer->blobs()[0]), {6, 0});
}

TYPED_TEST(ParameterLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {};
  this->check_gradient("type: 'Parameter' parameter_param { shape { dim: 2 dim: 3 } }", options);
}

}  // namespace caffe
