#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class LogLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(LogLayerTest, DtypesAndDevices);

TYPED_TEST(LogLayerTest, Values) {
  this->add_bottom({4}, {0.1, 1, 2.5, 30});
  const auto expect = [&](const std::string& param, double base, double scale, double shift) {
    this->forward("type: 'Log' log_param { " + param + " }");
    std::vector<double> expected = this->data(*this->bottom[0]);
    for (double& x : expected) x = std::log(shift + scale * x) / std::log(base);
    this->expect_near(this->data(*this->top[0]), expected);
  };
  expect("", std::exp(1.), 1, 0);
  expect("base: 2", 2, 1, 0);
  expect("base: 10 scale: 0.5 shift: 1", 10, 0.5, 1);
  expect("base: 0.5 scale: 2 shift: 0.25", 0.5, 2, 0.25);
}

TYPED_TEST(LogLayerTest, Gradient) {
  this->add_bottom({2, 3, 4}, 0.5, 2);
  for (const char* param : {"", "base: 2 scale: 0.5 shift: 1", "base: 0.5"}) {
    this->check_gradient(std::string("type: 'Log' log_param { ") + param + " }");
  }
}

TYPED_TEST(LogLayerTest, InPlaceRunsForwardAndRefusesBackward) {
  this->add_bottom({2}, {1, std::exp(2.)});
  this->top = this->bottom;
  auto layer = this->forward("type: 'Log'");
  this->expect_near(this->data(*this->top[0]), {0, 2}, 1e-6);
  EXPECT_ERROR(layer->Backward(this->top, {true}, this->bottom), "only without a backward pass");
}

TYPED_TEST(LogLayerTest, RefusesAnInvalidBase) {
  this->add_bottom({2});
  this->add_top();
  for (const char* base : {"0", "1", "-2", "inf", "nan"}) {
    auto layer = this->make(std::string("type: 'Log' log_param { base: ") + base + " }");
    EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (Log): base is");
  }
}

}  // namespace caffe
