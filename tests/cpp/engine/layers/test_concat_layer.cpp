#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ConcatLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ConcatLayerTest, DtypesAndDevices);

TYPED_TEST(ConcatLayerTest, Values) {
  this->add_bottom({2, 1, 2}, {1, 2, 3, 4});
  this->add_bottom({2, 2, 2}, {5, 6, 7, 8, 9, 10, 11, 12});
  for (const char* axis : {"", "axis: 1", "axis: -2", "concat_dim: 1"}) {
    this->forward(std::string("type: 'Concat' concat_param { ") + axis + " }");
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, 2}));
    this->expect_near(this->data(*this->top[0]), {1, 2, 5, 6, 7, 8, 3, 4, 9, 10, 11, 12});
  }
}

TYPED_TEST(ConcatLayerTest, ValuesOnTheFirstAndTheLastAxis) {
  this->add_bottom({2, 2}, {1, 2, 3, 4});
  this->add_bottom({2, 2}, {5, 6, 7, 8});
  this->add_bottom({2, 2}, {9, 10, 11, 12});
  this->forward("type: 'Concat' concat_param { axis: 0 }");
  this->expect_near(this->data(*this->top[0]), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  this->forward("type: 'Concat' concat_param { axis: -1 }");
  this->expect_near(this->data(*this->top[0]), {1, 2, 5, 6, 9, 10, 3, 4, 7, 8, 11, 12});
}

TYPED_TEST(ConcatLayerTest, OneBottomIsShared) {
  this->add_bottom({2, 3});
  this->forward("type: 'Concat'");
  EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
  EXPECT_EQ(this->top[0]->cpu_diff(), this->bottom[0]->cpu_diff());
}

TYPED_TEST(ConcatLayerTest, Gradient) {
  this->add_bottom({2, 1, 3});
  this->add_bottom({2, 2, 3});
  GradientOptions options;
  for (const std::vector<int>& bottoms : {std::vector<int>{0}, {1}, {0, 1}}) {
    options.bottoms = bottoms;
    this->check_gradient("type: 'Concat'", options);
  }
}

TYPED_TEST(ConcatLayerTest, Errors) {
  this->add_bottom({2, 1, 3});
  this->add_bottom({2, 2, 4});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Concat' concat_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (Concat): its bottoms must have the same shape except for axis 1; "
               "bottom 0 is 2 1 3 (6) and bottom 1 2 2 4 (16)");
  EXPECT_ERROR(set_up("axis: 3"), "axis is 3");
  EXPECT_ERROR(set_up("axis: 1 concat_dim: 1"), "has both axis and concat_dim");
  this->bottom[1]->Reshape({2, 3});
  EXPECT_ERROR(set_up(""), "must have the same shape except");
  this->top = {this->bottom[1]};
  EXPECT_ERROR(set_up(""), "cannot work in place");
}

}  // namespace caffe
