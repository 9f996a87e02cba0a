#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ReshapeLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ReshapeLayerTest, DtypesAndDevices);

TYPED_TEST(ReshapeLayerTest, Shapes) {
  this->add_bottom({2, 3, 6, 5});
  const auto shape_of = [&](const std::string& param) {
    this->forward("type: 'Reshape' reshape_param { " + param + " }");
    return this->top[0]->shape();
  };
  typedef std::vector<int> Shape;
  EXPECT_EQ(shape_of("shape { dim: 0 dim: -1 }"), (Shape{2, 90}));
  EXPECT_EQ(shape_of("shape { dim: 0 dim: 0 dim: -1 }"), (Shape{2, 3, 30}));
  EXPECT_EQ(shape_of("shape { dim: 4 dim: 45 }"), (Shape{4, 45}));
  EXPECT_EQ(shape_of("shape { dim: -1 }"), (Shape{180}));
  EXPECT_EQ(shape_of("axis: 1 num_axes: 2 shape { dim: 9 dim: 2 }"), (Shape{2, 9, 2, 5}));
  EXPECT_EQ(shape_of("axis: 1 num_axes: 1 shape { dim: 0 dim: 1 }"), (Shape{2, 3, 1, 6, 5}));
  EXPECT_EQ(shape_of("axis: -3 shape { dim: -1 }"), (Shape{2, 3, 30}));
  EXPECT_EQ(shape_of("axis: -1 shape { dim: 1 dim: 1 }"), (Shape{2, 3, 6, 5, 1, 1}));
  EXPECT_EQ(shape_of("axis: 0 num_axes: 0 shape { dim: 1 }"), (Shape{1, 2, 3, 6, 5}));
}

TYPED_TEST(ReshapeLayerTest, SharesMemoryAndFollowsTheBottom) {
  this->add_bottom({2, 3, 4});
  auto layer = this->forward("type: 'Reshape' reshape_param { shape { dim: -1 dim: 6 } }");
  EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
  EXPECT_EQ(this->top[0]->cpu_diff(), this->bottom[0]->cpu_diff());
  this->bottom[0]->Reshape({5, 3, 4});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{10, 6}));
  EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
}

TYPED_TEST(ReshapeLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  this->check_gradient("type: 'Reshape' reshape_param { shape { dim: 4 dim: 6 } }");
}

TYPED_TEST(ReshapeLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Reshape' reshape_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("shape { dim: -1 dim: -1 }"), "'under_test' (Reshape): has 2 dims of -1");
  EXPECT_ERROR(set_up("shape { dim: -2 }"), "a dim of -2 is not a length");
  EXPECT_ERROR(set_up("shape { dim: 5 dim: -1 }"), "its count is not a multiple of 5");
  EXPECT_ERROR(set_up("shape { dim: 5 dim: 5 }"), "does not fit 5 5, which has 25 values");
  EXPECT_ERROR(set_up("shape { dim: 2000000000 dim: 2000000000 dim: 2000000000 dim: -1 }"),
               "its count is not a multiple of");
  EXPECT_ERROR(set_up("axis: 4 shape { dim: 24 }"), "axis is 4");
  EXPECT_ERROR(set_up("axis: 1 num_axes: 3 shape { dim: 12 }"), "num_axes is 3 from axis 1");
  EXPECT_ERROR(set_up("shape { dim: 24 dim: 1 dim: 1 dim: 0 }"), "copies axis 3 of the bottom");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up("shape { dim: 24 }"), "cannot work in place");
}

}  // namespace caffe
