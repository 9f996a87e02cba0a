#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class BiasLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(BiasLayerTest, DtypesAndDevices);

namespace {

const char* const kAll =
    "type: 'Bias' bias_param { axis: 0 num_axes: -1 "
    "filler { type: 'uniform' min: -2 max: 2 } }";
const char* const kChannel = "type: 'Bias' bias_param { filler { type: 'uniform' max: 2 } }";
const char* const kLast = "type: 'Bias' bias_param { axis: -1 filler { type: 'uniform' max: 2 } }";
const char* const kOne = "type: 'Bias' bias_param { num_axes: 0 filler { value: 3 } }";

}  // namespace

TYPED_TEST(BiasLayerTest, Values) {
  this->add_bottom({2, 3, 4});
  const auto expect = [&](const char* text, const std::vector<int>& shape, int inner) {
    for (const bool in_place : {false, true}) {
      std::vector<double> expected = this->data(*this->bottom[0]);
      this->top.clear();
      if (in_place) this->top = this->bottom;
      auto layer = this->forward(text);
      ASSERT_EQ(layer->blobs()[0]->shape(), shape);
      const std::vector<double> b = this->data(*layer->blobs()[0]);
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += b[i / inner % b.size()];
      this->expect_near(this->data(*this->top[0]), expected);
    }
  };
  expect(kChannel, {3}, 4);
  expect(kAll, {2, 3, 4}, 1);
  expect(kLast, {4}, 1);
  expect(kOne, {}, 24);
  expect("type: 'Bias'", {3}, 4);  // 0
}

TYPED_TEST(BiasLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  for (const char* text : {kAll, kChannel, kLast, kOne}) {
    for (const bool in_place : {false, true}) {
      this->top.clear();
      if (in_place) this->top = this->bottom;
      this->check_gradient(text);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(BiasLayerTest, GradientWithTwoBottoms) {
  GradientOptions options;
  options.bottoms = {0, 1};
  this->add_bottom({2, 3, 4});
  this->add_bottom({3});
  this->check_gradient("type: 'Bias'", options);
  this->top = {this->bottom[0]};
  this->check_gradient("type: 'Bias'", options);
  EXPECT_TRUE(this->make("type: 'Bias'")->blobs().empty());
}

TYPED_TEST(BiasLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_bottom({2});
  this->add_top();
  EXPECT_ERROR(this->make("type: 'Bias'")->SetUp(this->bottom, this->top),
               "'under_test' (Bias): a blob of shape 2 (2) does not fit the bottom");
}

}  // namespace caffe
