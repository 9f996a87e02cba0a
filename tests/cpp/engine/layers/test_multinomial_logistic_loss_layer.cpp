#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class MultinomialLogisticLossLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(MultinomialLogisticLossLayerTest, DtypesAndDevices);

TYPED_TEST(MultinomialLogisticLossLayerTest, Values) {
  this->add_bottom({2, 3}, {0.5, 0.25, 0.25, 0.1, 0, 0.9});
  this->add_bottom({2}, std::vector<double>{0, 2});
  this->forward("type: 'MultinomialLogisticLoss'");
  this->expect_near(this->data(*this->top[0]), {-(std::log(0.5) + std::log(0.9)) / 2});
  this->bottom[1]->mutable_cpu_data()[1] = 1;  // a probability of 0
  this->forward("type: 'MultinomialLogisticLoss'");
  this->expect_near(this->data(*this->top[0]), {-(std::log(0.5) + std::log(1e-20)) / 2}, 1e-6);
}

TYPED_TEST(MultinomialLogisticLossLayerTest, Gradient) {
  this->add_bottom({3, 2, 2}, 0.3, 0.9);
  this->add_bottom({3}, {3, 0, 2});
  this->check_gradient("type: 'MultinomialLogisticLoss' loss_weight: 2", {}, true);
}

TYPED_TEST(MultinomialLogisticLossLayerTest, Errors) {
  this->add_bottom({2, 3}, 0.1, 0.9);
  this->add_bottom({2}, std::vector<double>{0, 3});
  this->add_top();
  auto layer = this->make("type: 'MultinomialLogisticLoss'");
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (MultinomialLogisticLoss): label 3 (number 1 of 2) is out of range");
  EXPECT_ERROR(layer->Backward(this->top, {true, true}, this->bottom), "no gradient for bottom 1");
  this->bottom[1]->Reshape({2, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "takes one label for each item");
}

}  // namespace caffe
