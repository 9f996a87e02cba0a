#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class CropLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(CropLayerTest, DtypesAndDevices);

namespace {

std::string crop(const std::string& param) {
  return "type: 'Crop' crop_param { " + param + " }";
}

}  // namespace

TYPED_TEST(CropLayerTest, Values) {
  const std::vector<int> whole = {2, 3, 5, 6}, size = {1, 2, 3, 2};
  this->add_bottom(whole);
  this->add_bottom(size);
  struct Case {
    const char* param;
    std::vector<int> shape, offset;
  };
  for (const Case& one : std::vector<Case>{{"", {2, 3, 3, 2}, {0, 0, 0, 0}},
                                           {"offset: 2", {2, 3, 3, 2}, {0, 0, 2, 2}},
                                           {"offset: 1 offset: 4", {2, 3, 3, 2}, {0, 0, 1, 4}},
                                           {"axis: 1 offset: 1", {2, 2, 3, 2}, {0, 1, 1, 1}},
                                           {"axis: -1 offset: 3", {2, 3, 5, 2}, {0, 0, 0, 3}},
                                           {"axis: 0", {1, 2, 3, 2}, {0, 0, 0, 0}}}) {
    this->forward(crop(one.param));
    ASSERT_EQ(this->top[0]->shape(), one.shape);
    std::vector<int> at(4);
    for (at[0] = 0; at[0] < one.shape[0]; ++at[0]) {
      for (at[1] = 0; at[1] < one.shape[1]; ++at[1]) {
        for (at[2] = 0; at[2] < one.shape[2]; ++at[2]) {
          for (at[3] = 0; at[3] < one.shape[3]; ++at[3]) {
            std::vector<int> from = at;
            for (int axis = 0; axis < 4; ++axis) from[axis] += one.offset[axis];
            ASSERT_EQ(this->top[0]->data_at(at), this->bottom[0]->data_at(from)) << one.param;
          }
        }
      }
    }
  }
}

TYPED_TEST(CropLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  this->add_bottom({1, 2, 2});
  for (const char* param : {"axis: 1 offset: 1", "axis: 2 offset: 2", "axis: 0"}) {
    this->check_gradient(crop(param));
  }
}

TYPED_TEST(CropLayerTest, Errors) {
  this->add_bottom({1, 2, 5, 6});
  this->add_bottom({1, 1, 3, 2});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make(crop(param))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("offset: 3"),
               "'under_test' (Crop): axis 2 of length 5 has no 3 values from 3 on");
  EXPECT_ERROR(set_up("offset: 1 offset: 1 offset: 1"), "has 3 offsets and crops 2 axes");
  EXPECT_ERROR(set_up("axis: 4"), "axis is 4");
  EXPECT_ERROR(set_up("offset: 4294967295"), "has no 3 values from 4294967295 on");
  this->bottom[1]->Reshape({3, 2});
  EXPECT_ERROR(set_up(""), "bottom 0 has 4 axes and bottom 1, which gives the size, only 2");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up(""), "cannot work in place");
  EXPECT_FALSE(this->make(crop(""))->AllowForceBackward(1));
}

}  // namespace caffe
