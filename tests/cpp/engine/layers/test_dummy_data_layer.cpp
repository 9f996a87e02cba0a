#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class DummyDataLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(DummyDataLayerTest, DtypesAndDevices);

namespace {

std::string dummy(const std::string& param) {
  return "type: 'DummyData' dummy_data_param { " + param + " }";
}

}  // namespace

TYPED_TEST(DummyDataLayerTest, OneShapeForAllAndZeros) {
  this->add_top();
  this->add_top();
  this->forward(dummy("shape { dim: 2 dim: 3 }"));
  for (auto* top : this->top) {
    EXPECT_EQ(top->shape(), (std::vector<int>{2, 3}));
    EXPECT_EQ(this->data(*top), std::vector<double>(6, 0));
  }
}

TYPED_TEST(DummyDataLayerTest, ConstantsAreFilledOnceAndRandomNumbersInEveryPass) {
  this->add_top();
  this->add_top();
  auto layer = this->forward(
      dummy("shape { dim: 3 } shape { dim: 1 dim: 4 } data_filler { type: 'constant' value: 5 } "
            "data_filler { type: 'gaussian' }"));
  EXPECT_EQ(this->data(*this->top[0]), std::vector<double>(3, 5));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{1, 4}));
  const std::vector<double> first = this->data(*this->top[1]);
  EXPECT_NE(first[0], first[1]);
  this->top[0]->mutable_cpu_data()[1] = 6;
  layer->Forward({}, this->top);
  this->expect_near(this->data(*this->top[0]), {5, 6, 5});
  EXPECT_NE(this->data(*this->top[1]), first);
}

TYPED_TEST(DummyDataLayerTest, TheOldFormOfShapes) {
  this->add_top();
  this->add_top();
  this->forward(
      dummy("num: 2 channels: 3 channels: 5 height: 1 width: 4 data_filler { value: 1 }"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, 1, 4}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{2, 5, 1, 4}));
  EXPECT_EQ(this->data(*this->top[1]), std::vector<double>(40, 1));
}

TYPED_TEST(DummyDataLayerTest, Errors) {
  for (int i = 0; i < 3; ++i) this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make(dummy(param))->SetUp({}, this->top);
  };
  EXPECT_ERROR(set_up(""), "'under_test' (DummyData): has 0 of dummy_data_param.shape and 3 tops");
  EXPECT_ERROR(set_up("shape { dim: 1 } shape { dim: 2 }"), "has 2 of dummy_data_param.shape");
  EXPECT_ERROR(set_up("shape { dim: 1 } data_filler { value: 1 } data_filler { value: 2 }"),
               "has 2 of dummy_data_param.data_filler");
  EXPECT_ERROR(set_up("num: 1 channels: 1 width: 1"), "has 0 of dummy_data_param.height");
  EXPECT_ERROR(set_up("num: 1 shape { dim: 1 }"), "has both shape and num");
}

}  // namespace caffe
