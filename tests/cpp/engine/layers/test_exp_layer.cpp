#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ExpLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ExpLayerTest, DtypesAndDevices);

TYPED_TEST(ExpLayerTest, Values) {
  this->add_bottom({4}, {-2, 0, 0.5, 3});
  const auto expect = [&](const std::string& param, double base, double scale, double shift) {
    this->forward("type: 'Exp' exp_param { " + param + " }");
    std::vector<double> expected = this->data(*this->bottom[0]);
    for (double& x : expected) x = std::pow(base, shift + scale * x);
    this->expect_near(this->data(*this->top[0]), expected);
  };
  expect("", std::exp(1.), 1, 0);
  expect("base: 2", 2, 1, 0);
  expect("base: 10 scale: 0.5 shift: 1", 10, 0.5, 1);
  expect("scale: -2 shift: 0.25", std::exp(1.), -2, 0.25);
  expect("base: 1 scale: 3", 1, 3, 0);
}

TYPED_TEST(ExpLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  for (const char* param : {"", "base: 2 scale: 0.5 shift: 1", "base: 0.5"}) {
    const std::string text = std::string("type: 'Exp' exp_param { ") + param + " }";
    this->fill_random(this->bottom[0], 5);
    this->top.clear();
    this->check_gradient(text);
    this->top = this->bottom;
    this->check_gradient(text);
  }
}

TYPED_TEST(ExpLayerTest, RefusesAnInvalidBase) {
  this->add_bottom({2});
  this->add_top();
  for (const char* base : {"0", "-2", "inf", "nan"}) {
    auto layer = this->make(std::string("type: 'Exp' exp_param { base: ") + base + " }");
    EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (Exp): base is");
  }
}

}  // namespace caffe
