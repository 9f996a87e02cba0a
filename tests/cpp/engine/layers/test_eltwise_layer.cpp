#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class EltwiseLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(EltwiseLayerTest, DtypesAndDevices);

namespace {

std::string eltwise(const std::string& param) {
  return "type: 'Eltwise' eltwise_param { " + param + " }";
}

}  // namespace

TYPED_TEST(EltwiseLayerTest, Values) {
  this->add_bottom({4}, {1, -2, 3, 0});
  this->add_bottom({4}, {2, 5, 3, -1});
  this->add_bottom({4}, {-1, 4, 7, -3});
  this->forward("type: 'Eltwise'");
  this->expect_near(this->data(*this->top[0]), {2, 7, 13, -4});
  this->forward(eltwise("coeff: 2 coeff: -1 coeff: 0.5"));
  this->expect_near(this->data(*this->top[0]), {-0.5, -7, 6.5, -0.5});
  this->forward(eltwise("operation: PROD"));
  this->expect_near(this->data(*this->top[0]), {-2, -40, 63, 0});
  this->forward(eltwise("operation: MAX"));
  this->expect_near(this->data(*this->top[0]), {2, 5, 7, 0});
  this->bottom.pop_back();
  this->forward("type: 'Eltwise'");
  this->expect_near(this->data(*this->top[0]), {3, 3, 6, -1});
}

TYPED_TEST(EltwiseLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  this->add_bottom({2, 3, 4});
  for (const int bottoms : {2, 4}) {
    while (static_cast<int>(this->bottom.size()) < bottoms) this->add_bottom({2, 3, 4});
    GradientOptions options;
    for (int i = 1; i < bottoms; ++i) options.bottoms.push_back(i);
    this->check_gradient(eltwise(""), options);
    this->check_gradient(
        eltwise(bottoms == 2 ? "coeff: 2 coeff: -1" : "coeff: 2 coeff: -1 coeff: 0 coeff: 0.25"),
        options);
    for (const char* stable : {"true", "false"}) {
      this->check_gradient(eltwise(std::string("operation: PROD stable_prod_grad: ") + stable),
                           options);
    }
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(EltwiseLayerTest, GradientOfTheMaximum) {
  GradientOptions options;
  for (int b = 0; b < 3; ++b) {
    this->add_bottom({3, 8});
    if (b > 0) options.bottoms.push_back(b);
  }
  for (int i = 0; i < 24; ++i) {  // no two values closer than the step of the comparison
    for (int b = 0; b < 3; ++b) {
      this->bottom[b]->mutable_cpu_data()[i] = static_cast<float>((i + b * (i % 2 ? 1 : 2)) % 3);
    }
  }
  this->check_gradient(eltwise("operation: MAX"), options);
}

TYPED_TEST(EltwiseLayerTest, OfEqualMaximaTheSecondBottomElseTheFirstHasTheGradient) {
  this->add_bottom({3}, {0, 0, 0});
  this->add_bottom({3}, {0, -1, 0});
  this->add_bottom({3}, {0, 0, 1});
  auto layer = this->forward(eltwise("operation: MAX"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 3, 1);
  layer->Backward(this->top, {true, true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 1, 0});
  this->expect_near(this->diff(*this->bottom[1]), {1, 0, 0});
  this->expect_near(this->diff(*this->bottom[2]), {0, 0, 1});
}

TYPED_TEST(EltwiseLayerTest, NaNIsNeverTheSmaller) {
  const double nan = std::nan("");
  this->add_bottom({3}, {nan, 1, 1});
  this->add_bottom({3}, {1, nan, 1});
  this->add_bottom({3}, {1, 1, nan});
  this->forward(eltwise("operation: MAX"));
  for (const double value : this->data(*this->top[0])) EXPECT_TRUE(std::isnan(value));
}

TYPED_TEST(EltwiseLayerTest, GradientOfAProductWithZeros) {
  this->add_bottom({2}, {0, 0});
  this->add_bottom({2}, {3, 0});
  auto layer = this->forward(eltwise("operation: PROD stable_prod_grad: false"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 2, 2);
  layer->Backward(this->top, {true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {6, 0});
  this->expect_near(this->diff(*this->bottom[1]), {0, 0});
}

TYPED_TEST(EltwiseLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({3, 2});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make(eltwise(param))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (Eltwise): its bottoms must have the same shape; bottom 0 is 2 3 (6) "
               "and bottom 1 3 2 (6)");
  this->bottom[1]->Reshape({2, 3});
  EXPECT_ERROR(set_up("coeff: 1"), "has 1 coeffs and 2 bottoms");
  EXPECT_ERROR(set_up("operation: PROD coeff: 1 coeff: 2"), "PROD takes no coeffs");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up(""), "cannot work in place");
}

}  // namespace caffe
