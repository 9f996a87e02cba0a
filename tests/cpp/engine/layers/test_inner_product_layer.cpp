#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class InnerProductLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string layer_text(const std::string& param) {
    return "type: 'InnerProduct' inner_product_param { weight_filler { type: 'gaussian' std: 0.5 } "
           "bias_filler { type: 'gaussian' std: 1 } " +
           param + " }";
  }
  void expect_product(const std::string& param, int m, int n, int k, bool transpose, bool bias) {
    SCOPED_TRACE(param);
    auto layer = this->forward(layer_text(param));
    ASSERT_EQ(layer->blobs().size(), bias ? 2u : 1u);
    ASSERT_EQ(layer->blobs()[0]->shape(),
              transpose ? (std::vector<int>{k, n}) : (std::vector<int>{n, k}));
    const auto x = this->data(*this->bottom[0]), w = this->data(*layer->blobs()[0]);
    std::vector<double> y;
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double sum = bias ? layer->blobs()[1]->cpu_data()[j] : 0;
        for (int l = 0; l < k; ++l) {
          sum += x[i * k + l] * (transpose ? w[l * n + j] : w[j * k + l]);
        }
        y.push_back(sum);
      }
    }
    this->expect_near(this->data(*this->top[0]), y);
  }
};
TYPED_TEST_SUITE(InnerProductLayerTest, DtypesAndDevices);

TYPED_TEST(InnerProductLayerTest, Values) {
  this->add_bottom({3, 2, 4, 5});
  this->expect_product("num_output: 7", 3, 7, 40, false, true);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 7}));
  this->expect_product("num_output: 7 transpose: true", 3, 7, 40, true, true);
  this->expect_product("num_output: 7 bias_term: false", 3, 7, 40, false, false);
  this->expect_product("num_output: 7 axis: 2", 6, 7, 20, false, true);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 2, 7}));
  this->expect_product("num_output: 2 axis: -1 transpose: true bias_term: false", 24, 2, 5, true,
                       false);
}

TYPED_TEST(InnerProductLayerTest, OneItem) {
  this->add_bottom({1, 9});
  this->expect_product("num_output: 4", 1, 4, 9, false, true);
  this->expect_product("num_output: 4 transpose: true", 1, 4, 9, true, true);
  this->expect_product("num_output: 4 transpose: true bias_term: false", 1, 4, 9, true, false);
  this->expect_product("num_output: 1 axis: 0", 1, 1, 9, false, true);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1}));
}

TYPED_TEST(InnerProductLayerTest, Gradient) {
  this->add_bottom({3, 2, 4});
  this->check_gradient(this->layer_text("num_output: 5"));
  this->check_gradient(this->layer_text("num_output: 5 transpose: true"));
  this->check_gradient(this->layer_text("num_output: 5 axis: 2 bias_term: false"));
}

TYPED_TEST(InnerProductLayerTest, BackwardAddsToTheParameters) {
  this->add_bottom({2, 1}, std::vector<double>{3, 4});
  auto layer = this->forward(this->layer_text("num_output: 1"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 2, typename TypeParam::Dtype(1));
  for (int i = 0; i < 2; ++i) layer->Backward(this->top, {false}, this->bottom);
  EXPECT_EQ(layer->blobs()[0]->cpu_diff()[0], 14);
  EXPECT_EQ(layer->blobs()[1]->cpu_diff()[0], 4);
}

TYPED_TEST(InnerProductLayerTest, TakesAnotherBatchSize) {
  this->add_bottom({2, 3});
  auto layer = this->forward(this->layer_text("num_output: 4"));
  this->bottom[0]->Reshape({5, 3});
  this->fill_random(this->bottom[0], 3);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{5, 4}));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 20, typename TypeParam::Dtype(1));
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(layer->blobs()[1]->cpu_diff()[0], 5);
}

TYPED_TEST(InnerProductLayerTest, KeepsValuesOfBefore2015) {
  this->add_bottom({1, 2}, std::vector<double>{3, 4});
  this->forward(this->layer_text("num_output: 1") +
                " blobs { num: 1 channels: 1 height: 1 width: 2 data: 2 data: 1 }"
                " blobs { num: 1 channels: 1 height: 1 width: 1 data: 0.5 }");
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{10.5}));
}

TYPED_TEST(InnerProductLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_top();
  EXPECT_ERROR(this->make(this->layer_text(""))->SetUp(this->bottom, this->top),
               "'under_test' (InnerProduct): num_output");
  EXPECT_ERROR(
      this->make(this->layer_text("num_output: 2 axis: 3"))->SetUp(this->bottom, this->top),
      "axis is 3");
  auto layer = this->forward(this->layer_text("num_output: 2"));
  this->bottom[0]->Reshape({2, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "made for 3 inputs");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(this->make(this->layer_text("num_output: 4"))->SetUp(this->bottom, this->top),
               "in place");
}

}  // namespace caffe
