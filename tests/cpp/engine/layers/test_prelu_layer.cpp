#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class PReLULayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(PReLULayerTest, DtypesAndDevices);

TYPED_TEST(PReLULayerTest, Values) {
  this->add_bottom({1, 2, 3}, {-2, 0, 3, -4, 5, -6});
  auto layer = this->forward("type: 'PReLU'");
  ASSERT_EQ(layer->blobs()[0]->shape(), std::vector<int>{2});
  this->expect_near(this->data(*this->top[0]), {-0.5, 0, 3, -1, 5, -1.5});
  layer->blobs()[0]->mutable_cpu_data()[0] = -1;
  layer->blobs()[0]->mutable_cpu_data()[1] = 2;
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {2, 0, 3, -8, 5, -12});
}

TYPED_TEST(PReLULayerTest, OneSlopeForAll) {
  this->add_bottom({1, 2, 3}, {-2, 0, 3, -4, 5, -6});
  auto layer = this->forward(
      "type: 'PReLU' prelu_param { channel_shared: true filler { type: 'constant' value: 0.5 } }");
  EXPECT_EQ(layer->blobs()[0]->num_axes(), 0);
  this->expect_near(this->data(*this->top[0]), {-1, 0, 3, -2, 5, -3});
}

TYPED_TEST(PReLULayerTest, Gradient) {
  GradientOptions options;
  options.kink_range = 0.02;
  const char* const random =
      "type: 'PReLU' prelu_param { filler { type: 'uniform' min: -1 max: 1 } }";
  const char* const shared = "type: 'PReLU' prelu_param { channel_shared: true }";
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{4, 3}, {2, 3, 4, 5}, {2, 2, 5, 6}, {1, 3, 2}}) {
    this->bottom.clear();
    this->add_bottom(shape);
    for (const char* text : {random, shared}) {
      this->top.clear();
      this->check_gradient(text, options);
      if (this->HasFatalFailure()) return;
      this->top = {this->bottom[0]};
      this->check_gradient(text, options);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(PReLULayerTest, AddsToTheGradientOfItsSlopes) {
  this->add_bottom({1, 1, 2}, {-2, -3});
  auto layer = this->forward("type: 'PReLU'");
  std::fill_n(this->top[0]->mutable_cpu_diff(), 2, 1);
  layer->blobs()[0]->mutable_cpu_diff()[0] = 100;
  layer->Backward(this->top, {false}, this->bottom);
  EXPECT_EQ(layer->blobs()[0]->cpu_diff()[0], 95);
  layer->set_param_propagate_down(0, false);
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(layer->blobs()[0]->cpu_diff()[0], 95);
}

TYPED_TEST(PReLULayerTest, Errors) {
  this->add_bottom({4});
  this->add_top();
  EXPECT_ERROR(this->make("type: 'PReLU'")->SetUp(this->bottom, this->top),
               "'under_test' (PReLU): the bottom needs a channel axis");
  this->bottom[0]->Reshape({2, 3});
  auto layer = this->make("type: 'PReLU'");
  layer->SetUp(this->bottom, this->top);
  this->bottom[0]->Reshape({2, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "has 3 slopes");
}

}  // namespace caffe
