#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class FlattenLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(FlattenLayerTest, DtypesAndDevices);

TYPED_TEST(FlattenLayerTest, Shapes) {
  this->add_bottom({2, 3, 6, 5});
  const auto shape_of = [&](const std::string& param) {
    this->forward("type: 'Flatten' flatten_param { " + param + " }");
    return this->top[0]->shape();
  };
  EXPECT_EQ(shape_of(""), (std::vector<int>{2, 90}));
  EXPECT_EQ(shape_of("axis: 2"), (std::vector<int>{2, 3, 30}));
  EXPECT_EQ(shape_of("axis: 0 end_axis: 1"), (std::vector<int>{6, 6, 5}));
  EXPECT_EQ(shape_of("axis: -3 end_axis: -2"), (std::vector<int>{2, 18, 5}));
  EXPECT_EQ(shape_of("axis: 1 end_axis: 1"), (std::vector<int>{2, 3, 6, 5}));
}

TYPED_TEST(FlattenLayerTest, SharesMemory) {
  this->add_bottom({2, 3, 4});
  auto layer = this->forward("type: 'Flatten'");
  EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
  EXPECT_EQ(this->top[0]->cpu_diff(), this->bottom[0]->cpu_diff());
  this->bottom[0]->Reshape({20, 3, 4});  // new memory
  this->fill_random(this->bottom[0], 5);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{20, 12}));
  EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
}

TYPED_TEST(FlattenLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  this->check_gradient("type: 'Flatten'");
}

TYPED_TEST(FlattenLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Flatten' flatten_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("axis: 3"), "'under_test' (Flatten): axis is 3, and the bottom has 3 axes");
  EXPECT_ERROR(set_up("axis: 2 end_axis: 1"), "from axis 2 to axis 1");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up(""), "cannot work in place");
}

}  // namespace caffe
