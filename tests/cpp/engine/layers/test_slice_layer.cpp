#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SliceLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(SliceLayerTest, DtypesAndDevices);

TYPED_TEST(SliceLayerTest, Values) {
  this->add_bottom({2, 3, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  this->add_top();
  this->add_top();
  for (const char* axis : {"", "axis: 1", "axis: -2", "slice_dim: 1"}) {
    this->forward(std::string("type: 'Slice' slice_param { slice_point: 1 ") + axis + " }");
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 1, 2}));
    EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{2, 2, 2}));
    this->expect_near(this->data(*this->top[0]), {1, 2, 7, 8});
    this->expect_near(this->data(*this->top[1]), {3, 4, 5, 6, 9, 10, 11, 12});
  }
  this->forward("type: 'Slice' slice_param { axis: 0 }");  // equal parts
  this->expect_near(this->data(*this->top[1]), {7, 8, 9, 10, 11, 12});
  this->add_top();
  this->forward("type: 'Slice'");
  this->expect_near(this->data(*this->top[2]), {5, 6, 11, 12});
}

TYPED_TEST(SliceLayerTest, OneTopIsShared) {
  this->add_bottom({2, 3});
  this->forward("type: 'Slice'");
  EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
  EXPECT_EQ(this->top[0]->cpu_diff(), this->bottom[0]->cpu_diff());
}

TYPED_TEST(SliceLayerTest, Gradient) {
  this->add_bottom({2, 4, 3});
  this->check_gradient("type: 'Slice'");
  this->top.clear();
  this->add_top();
  this->add_top();
  this->add_top();
  this->check_gradient("type: 'Slice' slice_param { slice_point: 1 slice_point: 3 }");
  this->check_gradient("type: 'Slice' slice_param { axis: 2 }");
}

TYPED_TEST(SliceLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_top();
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Slice' slice_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (Slice): cannot cut axis 1 of length 3 into 2 equal parts");
  EXPECT_ERROR(set_up("slice_point: 1 slice_point: 2"), "has 2 slice_points and 2 tops");
  EXPECT_ERROR(set_up("slice_point: 0"), "slice_point 0 is not between 0 and 3");
  EXPECT_ERROR(set_up("slice_point: 3"), "slice_point 3 is not between 0 and 3");
  EXPECT_ERROR(set_up("slice_point: 1 axis: 1 slice_dim: 1"), "has both axis and slice_dim");
  EXPECT_ERROR(set_up("axis: 5"), "axis is 5");
  this->top[1] = this->bottom[0];
  EXPECT_ERROR(set_up("slice_point: 1"), "cannot work in place");
}

}  // namespace caffe
