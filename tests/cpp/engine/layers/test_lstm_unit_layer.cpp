#include <limits>

#include "layers/recurrent_test.hpp"

namespace caffe {

template <typename TypeParam>
class LSTMUnitLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename LayerTest<TypeParam>::Dtype Dtype;

  /// c_prev, the gates' inputs and cont for two streams of three cells.
  void add_inputs(const std::vector<double>& cont) {
    this->add_bottom({1, 2, 3});
    this->add_bottom({1, 2, 12}, -3, 3);
    this->add_bottom({1, 2}, cont);
    this->add_top();
    this->add_top();
  }
};
TYPED_TEST_SUITE(LSTMUnitLayerTest, DtypesAndDevices);

TYPED_TEST(LSTMUnitLayerTest, Values) {
  this->add_inputs({1, 0.25});
  this->forward("type: 'LSTMUnit'");
  const std::vector<double> before = this->data(*this->bottom[0]);
  const std::vector<double> inputs = this->data(*this->bottom[1]);
  std::vector<double> c, h;
  for (int k = 0; k < 6; ++k) {
    const double* const row = inputs.data() + k / 3 * 12 + k % 3;
    const double forget = (k < 3 ? 1 : 0.25) * logistic(row[3]);
    c.push_back(forget * before[k] + logistic(row[0]) * std::tanh(row[9]));
    h.push_back(logistic(row[6]) * std::tanh(c.back()));
  }
  EXPECT_EQ(this->top[0]->shape(), std::vector<int>({1, 2, 3}));
  EXPECT_EQ(this->top[1]->shape(), std::vector<int>({1, 2, 3}));
  this->expect_near(this->data(*this->top[0]), c);
  this->expect_near(this->data(*this->top[1]), h);
}

TYPED_TEST(LSTMUnitLayerTest, WhatIsForgottenDoesNotCount) {
  this->add_inputs({0, 1});
  typename TypeParam::Dtype* const inputs = this->bottom[1]->mutable_cpu_data();
  std::fill(inputs + 3, inputs + 6, std::numeric_limits<typename TypeParam::Dtype>::quiet_NaN());
  this->forward("type: 'LSTMUnit'");
  for (const auto* top : this->top) {
    for (const double value : this->data(*top)) EXPECT_TRUE(std::isfinite(value));
  }
}

TYPED_TEST(LSTMUnitLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1};
  this->add_inputs({1, 0});
  this->check_gradient("type: 'LSTMUnit'", options);
}

/// Where cont is neither, the forget gate's gradient is cont f (1 - cont f), as in BVLC Caffe.
TYPED_TEST(LSTMUnitLayerTest, GradientForAnyCont) {
  this->add_inputs({0.5, -1.5});
  auto layer = this->forward("type: 'LSTMUnit'");
  caffe_set(6, typename TypeParam::Dtype(1), this->top[0]->mutable_cpu_diff());
  caffe_set(6, typename TypeParam::Dtype(0), this->top[1]->mutable_cpu_diff());
  layer->Backward(this->top, {true, true, false}, this->bottom);
  const std::vector<double> before = this->data(*this->bottom[0]);
  const std::vector<double> inputs = this->data(*this->bottom[1]);
  const std::vector<double> gradient = this->diff(*this->bottom[1]);
  std::vector<double> to_cells, to_forget, found;
  for (int k = 0; k < 6; ++k) {
    const int place = k / 3 * 12 + k % 3 + 3;
    const double forget = (k < 3 ? 0.5 : -1.5) * logistic(inputs[place]);
    to_cells.push_back(forget);
    to_forget.push_back(before[k] * forget * (1 - forget));
    found.push_back(gradient[place]);
  }
  this->expect_near(this->diff(*this->bottom[0]), to_cells);
  this->expect_near(found, to_forget);
}

TYPED_TEST(LSTMUnitLayerTest, BothGradientsOrNone) {
  this->add_inputs({1, 1});
  auto layer = this->forward("type: 'LSTMUnit'");
  for (auto* top : this->top) {
    caffe_set(top->count(), typename TypeParam::Dtype(1), top->mutable_cpu_diff());
  }
  const auto gradients = [&](bool cells, bool inputs) {
    for (int b : {0, 1}) {
      caffe_set(this->bottom[b]->count(), typename TypeParam::Dtype(9),
                this->bottom[b]->mutable_cpu_diff());
    }
    layer->Backward(this->top, {cells, inputs, false}, this->bottom);
    std::vector<double> both = this->diff(*this->bottom[0]);
    for (const double value : this->diff(*this->bottom[1])) both.push_back(value);
    return both;
  };
  EXPECT_EQ(gradients(false, false), std::vector<double>(30, 9.));
  EXPECT_EQ(gradients(true, false), gradients(true, true));
  EXPECT_EQ(gradients(false, true), gradients(true, true));
  EXPECT_NE(gradients(true, true)[0], 9.);
  EXPECT_FALSE(layer->AllowForceBackward(2));
  EXPECT_ERROR(layer->Backward(this->top, {true, true, true}, this->bottom),
               "layer 'under_test' (LSTMUnit): bottom 2, which tells where a sequence continues, "
               "has no gradient");
}

TYPED_TEST(LSTMUnitLayerTest, Checks) {
  const std::vector<std::vector<std::vector<int>>> wrong = {
      {{2, 3}, {1, 2, 12}, {1, 2}},       {{1, 2, 3, 1}, {1, 2, 12, 1}, {1, 2}},
      {{2, 2, 3}, {2, 2, 12}, {2, 2}},    {{1, 2, 3}, {1, 2, 9}, {1, 2}},
      {{1, 2, 3}, {1, 1, 12}, {1, 2}},    {{1, 2, 3}, {2, 2, 12}, {1, 2}},
      {{1, 2, 3}, {1, 2, 12}, {2}},       {{1, 2, 3}, {1, 2, 12}, {1, 2, 1}},
      {{1, 2, 3}, {1, 2, 12}, {1, 1, 2}}, {{1, 2, 3}, {1, 2, 12}, {1, 3}}};
  this->add_top();
  this->add_top();
  for (const auto& shapes : wrong) {
    this->bottom.clear();
    for (const auto& shape : shapes) this->add_bottom(shape);
    EXPECT_ERROR(this->forward("type: 'LSTMUnit'"), "should be 1 x N");
  }
  this->bottom.pop_back();
  EXPECT_ERROR(this->forward("type: 'LSTMUnit'"), "takes 3 bottoms and has 2");
  this->bottom.clear();
  this->add_inputs({1, 1});
  EXPECT_ERROR(this->forward("type: 'LSTMUnit'"), "takes 2 tops and has 4");
  this->top.resize(2);
  this->top[0] = this->bottom[0];
  EXPECT_ERROR(this->forward("type: 'LSTMUnit'"), "cannot work in place");
}

}  // namespace caffe
