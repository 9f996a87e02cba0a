#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SwishLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(SwishLayerTest, DtypesAndDevices);

TYPED_TEST(SwishLayerTest, Values) {
  this->add_bottom({5}, {-1000, -2, 0, 0.5, 1000});
  for (const double beta : {1., 0.5, 3., 0., -1.}) {
    this->forward("type: 'Swish' swish_param { beta: " + std::to_string(beta) + " }");
    std::vector<double> expected = this->data(*this->bottom[0]);
    for (double& x : expected) x /= 1 + std::exp(-beta * x);
    this->expect_near(this->data(*this->top[0]), expected);
  }
}

TYPED_TEST(SwishLayerTest, Gradient) {
  this->add_bottom({2, 3, 4}, -3, 3);
  for (const char* param : {"", "beta: 0.5", "beta: 2", "beta: 0"}) {
    const std::string text = std::string("type: 'Swish' swish_param { ") + param + " }";
    this->fill_random(this->bottom[0], 5, -3, 3);
    this->top.clear();
    this->check_gradient(text);
    this->top = this->bottom;
    this->check_gradient(text);
    if (this->HasFatalFailure()) return;
  }
}

}  // namespace caffe
