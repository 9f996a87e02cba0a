#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class EmbedLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(EmbedLayerTest, DtypesAndDevices);

namespace {

const char* const kText =
    "type: 'Embed' embed_param { num_output: 3 input_dim: 5 "
    "weight_filler { type: 'uniform' min: -1 max: 1 } "
    "bias_filler { type: 'uniform' min: -1 max: 1 } }";

}  // namespace

TYPED_TEST(EmbedLayerTest, TakesRowsOfTheTable) {
  this->add_bottom({2, 2}, {4, 0, 1, 4});
  auto layer = this->forward(kText);
  ASSERT_EQ(layer->blobs()[0]->shape(), (std::vector<int>{5, 3}));
  ASSERT_EQ(layer->blobs()[1]->shape(), (std::vector<int>{3}));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 2, 3}));
  const std::vector<double> table = this->data(*layer->blobs()[0]);
  const std::vector<double> bias = this->data(*layer->blobs()[1]);
  std::vector<double> expected;
  for (const int row : {4, 0, 1, 4}) {
    for (int i = 0; i < 3; ++i) expected.push_back(table[row * 3 + i] + bias[i]);
  }
  this->expect_near(this->data(*this->top[0]), expected);
  layer = this->forward(
      "type: 'Embed' embed_param { num_output: 2 input_dim: 5 bias_term: false "
      "weight_filler { value: 7 } }");
  EXPECT_EQ(layer->blobs().size(), 1u);
  this->expect_near(this->data(*this->top[0]), std::vector<double>(8, 7));
}

TYPED_TEST(EmbedLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {};
  this->add_bottom({3, 2}, {4, 0, 1, 4, 4, 2});
  this->check_gradient(kText, options);
}

TYPED_TEST(EmbedLayerTest, AddsToTheGradientOfTheTable) {
  this->add_bottom({3}, {1, 3, 1});
  auto layer = this->forward(kText);
  std::fill_n(this->top[0]->mutable_cpu_diff(), 9, 1);
  for (int pass = 1; pass <= 2; ++pass) layer->Backward(this->top, {false}, this->bottom);
  this->expect_near(this->diff(*layer->blobs()[0]), {0, 0, 0, 4, 4, 4, 0, 0, 0, 2, 2, 2, 0, 0, 0});
  this->expect_near(this->diff(*layer->blobs()[1]), {6, 6, 6});
}

TYPED_TEST(EmbedLayerTest, Errors) {
  this->add_bottom({2}, {0, 5});
  this->add_top();
  EXPECT_ERROR(
      this->make("type: 'Embed' embed_param { input_dim: 5 }")->SetUp(this->bottom, this->top),
      "'under_test' (Embed): num_output is 0 and input_dim 5");
  auto layer = this->make(kText);
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "index 5, at position 1 of a blob of shape 2 (2), is not an integer from 0 to 4");
  for (const double bad : {-1., 1.5, std::nan(""), 1e30}) {
    this->bottom[0]->mutable_cpu_data()[1] = bad;
    EXPECT_ERROR(layer->Forward(this->bottom, this->top), "is not an integer from 0 to 4");
  }
  EXPECT_ERROR(layer->Backward(this->top, {true}, this->bottom), "holds indices");
  EXPECT_FALSE(layer->AllowForceBackward(0));
}

}  // namespace caffe
