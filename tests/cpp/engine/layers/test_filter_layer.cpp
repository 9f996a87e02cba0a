#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class FilterLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(FilterLayerTest, DtypesAndDevices);

TYPED_TEST(FilterLayerTest, Values) {
  this->add_bottom({3, 2}, {1, 2, 3, 4, 5, 6});
  this->add_bottom({3}, {7, 8, 9});
  this->add_bottom({3, 1}, {0.5, 0, 1});
  this->add_top();
  this->add_top();
  auto layer = this->make("type: 'Filter' bottom: 'a' bottom: 'b' bottom: 's'");
  layer->SetUp(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 2}));
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 2}));
  this->expect_near(this->data(*this->top[0]), {1, 2, 5, 6});
  this->expect_near(this->data(*this->top[1]), {7, 9});
  this->bottom[2]->mutable_cpu_data()[1] = -1;
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[1]), {7, 8, 9});
  std::fill_n(this->bottom[2]->mutable_cpu_data(), 3, 0);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{0, 2}));
  layer->Backward(this->top, {true, true, false}, this->bottom);
  this->expect_near(this->diff(*this->bottom[1]), {0, 0, 0});
  EXPECT_FALSE(layer->AllowForceBackward(2));
  EXPECT_TRUE(layer->AllowForceBackward(1));
}

TYPED_TEST(FilterLayerTest, Gradient) {
  this->add_bottom({4, 3});
  this->add_bottom({4, 2, 2});
  this->add_bottom({4}, {1, 0, 1, 1});
  this->add_top();
  this->add_top();
  auto layer = this->make("type: 'Filter'");
  layer->SetUp(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  for (auto* top : this->top) std::fill_n(top->mutable_cpu_diff(), top->count(), 2);
  layer->Backward(this->top, {true, true, false}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {2, 2, 2, 0, 0, 0, 2, 2, 2, 2, 2, 2});
  this->expect_near(this->diff(*this->bottom[1]), {2, 2, 2, 2, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2});
  GradientOptions options;
  options.bottoms = {0, 1};
  this->check_gradient("type: 'Filter'", options);
}

TYPED_TEST(FilterLayerTest, Errors) {
  this->add_bottom({3, 2});
  this->add_bottom({2});
  this->add_top();
  const auto set_up = [&] { this->make("type: 'Filter'")->SetUp(this->bottom, this->top); };
  EXPECT_ERROR(set_up(), "'under_test' (Filter): the selector has 2 values, and the shape of");
  this->bottom[1]->Reshape({3, 2});
  EXPECT_ERROR(set_up(), "needs one value per item");
  this->add_bottom({3});
  EXPECT_ERROR(set_up(), "has 3 bottoms and 1 tops");
  auto layer = this->make("type: 'Filter'");
  this->bottom.erase(this->bottom.begin() + 1);
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Backward(this->top, {true, true}, this->bottom), "has no gradient");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up(), "cannot work in place");
}

}  // namespace caffe
