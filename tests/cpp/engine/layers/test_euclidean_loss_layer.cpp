#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class EuclideanLossLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(EuclideanLossLayerTest, DtypesAndDevices);

TYPED_TEST(EuclideanLossLayerTest, Values) {
  this->add_bottom({2, 3}, {1, 2, 3, 4, 5, 6});
  this->add_bottom({2, 3}, {0, 2, 5, 4, 4, 9});
  this->forward("type: 'EuclideanLoss'");
  EXPECT_EQ(this->top[0]->num_axes(), 0);
  EXPECT_NEAR(this->top[0]->cpu_data()[0], 15 / 4., 1e-6);
}

TYPED_TEST(EuclideanLossLayerTest, Gradient) {
  this->add_bottom({4, 3, 2});
  this->add_bottom({4, 3, 2});
  GradientOptions options;
  options.bottoms = {0, 1};
  this->check_gradient("type: 'EuclideanLoss' loss_weight: 2.5", options, true);
  options.bottoms = {1};
  this->check_gradient("type: 'EuclideanLoss'", options, true);
}

TYPED_TEST(EuclideanLossLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 2});
  this->add_top();
  auto layer = this->make("type: 'EuclideanLoss'");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top),
               "'under_test' (EuclideanLoss): both bottoms must have the same size");
  EXPECT_TRUE(layer->AllowForceBackward(1));
  this->bottom[1]->Reshape({3, 2});
  EXPECT_ERROR(this->make("type: 'EuclideanLoss'")->SetUp(this->bottom, this->top),
               "first axes of both bottoms must have the same length");
  this->bottom[1]->Reshape({2, 3});
  this->top = {this->bottom[0]};
  EXPECT_ERROR(this->make("type: 'EuclideanLoss'")->SetUp(this->bottom, this->top), "in place");
}

}  // namespace caffe
