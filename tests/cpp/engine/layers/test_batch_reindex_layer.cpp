#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class BatchReindexLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(BatchReindexLayerTest, DtypesAndDevices);

TYPED_TEST(BatchReindexLayerTest, Values) {
  this->add_bottom({3, 2}, {1, 2, 3, 4, 5, 6});
  this->add_bottom({4}, {2, 0, 0, 1});
  auto layer = this->forward("type: 'BatchReindex'");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{4, 2}));
  this->expect_near(this->data(*this->top[0]), {5, 6, 1, 2, 1, 2, 3, 4});
  this->bottom[1]->Reshape(std::vector<int>{0});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{0, 2}));
  std::fill_n(this->bottom[0]->mutable_cpu_diff(), 6, 1);
  layer->Backward(this->top, {true, false}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 0, 0, 0, 0, 0});
}

TYPED_TEST(BatchReindexLayerTest, Gradient) {
  this->add_bottom({4, 3, 2});
  this->add_bottom({5}, {3, 0, 0, 1, 3});
  this->check_gradient("type: 'BatchReindex'");
}

TYPED_TEST(BatchReindexLayerTest, Errors) {
  this->add_bottom({3, 2});
  this->add_bottom({2}, {0, 3});
  this->add_top();
  auto layer = this->make("type: 'BatchReindex'");
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (BatchReindex): index 3, at position 1");
  EXPECT_ERROR(layer->Backward(this->top, {true, true}, this->bottom), "have no gradient");
  EXPECT_FALSE(layer->AllowForceBackward(1));
  EXPECT_TRUE(layer->AllowForceBackward(0));
  this->bottom[1]->Reshape({2, 1});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "needs one axis");
}

}  // namespace caffe
