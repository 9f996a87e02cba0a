#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class InputLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(InputLayerTest, DtypesAndDevices);

TYPED_TEST(InputLayerTest, ShapesItsTops) {
  this->add_top();
  this->add_top();
  this->forward("type: 'Input' input_param { shape { dim: 2 dim: 3 } shape { } }");
  EXPECT_EQ(this->top[0]->shape(), std::vector<int>({2, 3}));
  EXPECT_EQ(this->top[1]->shape(), std::vector<int>());
  this->forward("type: 'Input' input_param { shape { dim: 4 } }");
  EXPECT_EQ(this->top[0]->shape(), std::vector<int>({4}));
  EXPECT_EQ(this->top[1]->shape(), std::vector<int>({4}));
}

TYPED_TEST(InputLayerTest, LeavesToTheProgramWhatItFilledAndReshaped) {
  Blob<typename TypeParam::Dtype>* const top = this->add_top();
  auto layer = this->forward("type: 'Input' input_param { shape { dim: 2 } }");
  top->Reshape({3});
  top->mutable_cpu_data()[2] = 5;
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->data(*top), std::vector<double>({0, 0, 5}));
  this->forward("type: 'Input'");
  EXPECT_EQ(top->shape(), std::vector<int>({3}));
}

TYPED_TEST(InputLayerTest, RefusesOtherCounts) {
  this->add_top();
  auto layer = this->make("type: 'Input' input_param { shape { } shape { } }");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (Input): has 2 shapes and 1");
  layer = this->make("type: 'Input' input_param { shape { dim: -3 } }");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "-3 is not a length");
  this->add_bottom({1});
  EXPECT_ERROR(this->make("type: 'Input'")->SetUp(this->bottom, this->top), "takes 0 bottoms");
}

}  // namespace caffe
