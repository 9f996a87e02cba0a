#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class PowerLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(PowerLayerTest, DtypesAndDevices);

TYPED_TEST(PowerLayerTest, Values) {
  this->add_bottom({4}, {-2, 0, 0.5, 3});
  const auto expect = [&](double power, double scale, double shift) {
    std::ostringstream text;
    text << "type: 'Power' power_param { power: " << power << " scale: " << scale
         << " shift: " << shift << " }";
    this->forward(text.str());
    std::vector<double> expected;
    for (const double x : this->data(*this->bottom[0])) {
      expected.push_back(std::pow(shift + scale * x, power));
    }
    this->expect_near(this->data(*this->top[0]), expected);
  };
  expect(1, 1, 0);
  expect(1, -0.5, 3);
  expect(2, 1, 0);
  expect(2, 0.5, -1);
  expect(3, 2, 1);
  expect(0.5, 0.5, 1);
  expect(-1, 0.25, 1);
  expect(-0.75, 0.25, 1);
  expect(0, 3, 1);
  expect(2.5, 0, 2);
}

TYPED_TEST(PowerLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5}, 0.2, 2);
  for (const char* param :
       {"", "scale: 3", "power: 2", "power: 2 scale: -0.5 shift: 0.5", "power: 3 shift: -1",
        "power: 0.37 scale: 0.5 shift: 0.5", "power: -1 scale: 0.5 shift: 1", "power: 0",
        "power: 2 scale: 0 shift: 3"}) {
    SCOPED_TRACE(param);
    this->check_gradient(std::string("type: 'Power' power_param { ") + param + " }");
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(PowerLayerTest, GradientAtZero) {
  this->add_bottom({1}, std::vector<double>{0});
  auto layer = this->forward("type: 'Power' power_param { power: 3 }");
  this->top[0]->mutable_cpu_diff()[0] = 5;
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(this->bottom[0]->cpu_diff()[0], 0);  // not 0 / 0
}

TYPED_TEST(PowerLayerTest, GradientInPlace) {
  this->add_bottom({2, 3}, 0.2, 2);
  this->top = {this->bottom[0]};
  for (const char* param : {"scale: 3 shift: 1", "power: 0", "power: 2 scale: 0"}) {
    this->check_gradient(std::string("type: 'Power' power_param { ") + param + " }");
  }
}

TYPED_TEST(PowerLayerTest, InPlaceRunsForwardAndRefusesBackward) {
  this->add_bottom({3}, {-2, 0.5, 3});
  this->top = {this->bottom[0]};
  auto layer = this->forward("type: 'Power' power_param { power: 2 }");
  this->expect_near(this->data(*this->top[0]), {4, 0.25, 9});
  layer->Backward(this->top, {false}, this->bottom);
  EXPECT_ERROR(
      layer->Backward(this->top, {true}, this->bottom),
      "layer 'under_test' (Power): works in place, which is possible only without a backward pass");
}

}  // namespace caffe
