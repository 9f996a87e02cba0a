#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ScaleLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ScaleLayerTest, DtypesAndDevices);

namespace {

/// One way to give a scale: `axis` and `num_axes` for x of {2, 3, 4, 5}.
struct Case {
  int axis, num_axes;
  std::vector<int> shape;  // of the scale
  int inner;               // values of x that share one
};

const std::vector<Case> kCases = {
    {1, 1, {3}, 20},       {0, 1, {2}, 60},          {-1, 1, {5}, 1}, {1, 2, {3, 4}, 5},
    {1, -1, {3, 4, 5}, 1}, {0, -1, {2, 3, 4, 5}, 1}, {0, 0, {}, 120}, {2, 2, {4, 5}, 1}};

std::string text_of(const Case& one, const std::string& more = "") {
  return "type: 'Scale' scale_param { axis: " + std::to_string(one.axis) +
         " num_axes: " + std::to_string(one.num_axes) +
         " filler { type: 'uniform' min: -2 max: 2 } " + more + " }";
}

const char* const kBias = "bias_term: true bias_filler { type: 'uniform' min: -2 max: 2 }";

}  // namespace

TYPED_TEST(ScaleLayerTest, Values) {
  this->add_bottom({2, 3, 4, 5});
  for (const Case& one : kCases) {
    for (const bool with_bias : {false, true}) {
      this->top.clear();
      Caffe::set_random_seed(1701);
      auto layer = this->forward(text_of(one, with_bias ? kBias : ""));
      ASSERT_EQ(layer->blobs().size(), with_bias ? 2u : 1u);
      ASSERT_EQ(layer->blobs()[0]->shape(), one.shape);
      std::vector<double> expected = this->data(*this->bottom[0]);
      const std::vector<double> s = this->data(*layer->blobs()[0]);
      const std::vector<double> b = this->data(*layer->blobs().back());
      for (size_t i = 0; i < expected.size(); ++i) {
        const size_t c = i / one.inner % s.size();
        expected[i] = expected[i] * s[c] + (with_bias ? b[c] : 0);
      }
      this->expect_near(this->data(*this->top[0]), expected);
      const std::vector<double> y = this->data(*this->top[0]);
      this->top = this->bottom;
      Caffe::set_random_seed(1701);
      this->forward(text_of(one, with_bias ? kBias : ""));
      this->expect_near(this->data(*this->bottom[0]), y);
      this->fill_random(this->bottom[0], 101);
    }
  }
}

TYPED_TEST(ScaleLayerTest, IsOneUnlessAFillerSaysOtherwise) {
  this->add_bottom({2, 3});
  this->forward("type: 'Scale' scale_param { bias_term: true }");
  EXPECT_EQ(this->data(*this->top[0]), this->data(*this->bottom[0]));
}

TYPED_TEST(ScaleLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5});
  for (const Case& one : kCases) {
    for (const std::string bias : {"", kBias}) {
      this->top.clear();
      this->fill_random(this->bottom[0], 5);
      this->check_gradient(text_of(one, bias));
      if (this->HasFatalFailure()) return;
      this->top = this->bottom;
      this->check_gradient(text_of(one, bias));
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(ScaleLayerTest, GradientWithTwoBottoms) {
  GradientOptions options;
  options.bottoms = {0, 1};
  for (const Case& one : kCases) {
    this->bottom.clear();
    this->add_bottom({2, 3, 4, 5});
    this->add_bottom(one.shape);
    for (const std::string bias : {"", kBias}) {
      this->top.clear();
      this->check_gradient(text_of(one, bias), options);
      if (this->HasFatalFailure()) return;
      this->top = {this->bottom[0]};
      this->check_gradient(text_of(one, bias), options);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(ScaleLayerTest, InPlaceKeepsNoUnneededInput) {
  this->add_bottom({2, 3});
  this->top = this->bottom;
  auto layer = this->make("type: 'Scale' scale_param { bias_term: true }");
  layer->SetUp(this->bottom, this->top);
  layer->set_param_propagate_down(0, false);
  layer->blobs()[0]->mutable_cpu_data()[1] = 7;
  layer->Forward(this->bottom, this->top);
  std::fill_n(this->top[0]->mutable_cpu_diff(), 6, 1);
  layer->Backward(this->top, {true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {1, 7, 1, 1, 7, 1});
  this->expect_near(this->diff(*layer->blobs()[0]), {0, 0, 0});
  this->expect_near(this->diff(*layer->blobs()[1]), {2, 2, 2});
}

TYPED_TEST(ScaleLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Scale' scale_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("axis: 3"), "'under_test' (Scale): axis is 3, and the bottom has 3 axes");
  EXPECT_ERROR(set_up("axis: 2 num_axes: 2"), "num_axes is 2 from axis 2 on");
  EXPECT_ERROR(set_up("num_axes: -2"), "num_axes is -2");
  this->add_bottom({4});
  EXPECT_ERROR(set_up(""), "a blob of shape 4 (4) does not fit the bottom of shape 2 3 4 (24)");
  this->bottom[1]->Reshape({4, 2});
  EXPECT_ERROR(set_up("axis: 2"), "does not fit");
}

}  // namespace caffe
