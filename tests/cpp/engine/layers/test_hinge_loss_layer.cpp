#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class HingeLossLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(HingeLossLayerTest, DtypesAndDevices);

TYPED_TEST(HingeLossLayerTest, Values) {
  this->add_bottom({2, 3}, {0.5, -2, 0.25, -1.5, 3, 0});
  this->add_bottom({2}, std::vector<double>{0, 1});
  this->forward("type: 'HingeLoss'");
  EXPECT_NEAR(this->top[0]->cpu_data()[0], (0.5 + 1.25 + 1) / 2, 1e-6);
  this->forward("type: 'HingeLoss' hinge_loss_param { norm: L2 }");
  EXPECT_NEAR(this->top[0]->cpu_data()[0], (0.25 + 1.5625 + 1) / 2, 1e-6);
}

TYPED_TEST(HingeLossLayerTest, Gradient) {
  GradientOptions options;
  options.kink = 1;
  options.kink_range = 0.02;
  this->add_bottom({3, 2, 2}, -3, 3);
  this->add_bottom({3}, {3, 0, 2});
  this->check_gradient("type: 'HingeLoss' loss_weight: 2", options, true);
  this->check_gradient("type: 'HingeLoss' hinge_loss_param { norm: L2 }", options, true);
}

TYPED_TEST(HingeLossLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2}, std::vector<double>{0, 3});
  this->add_top();
  auto layer = this->make("type: 'HingeLoss'");
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (HingeLoss): label 3 (number 1 of 2) is out of range");
  this->bottom[1]->Reshape({2, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "takes one label for each item");
}

}  // namespace caffe
