#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class TanHLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(TanHLayerTest, DtypesAndDevices);

TYPED_TEST(TanHLayerTest, Values) {
  this->add_bottom({6}, {-1000, -1, -1e-6, 0, 0.5, 1000});
  this->forward("type: 'TanH'");
  const std::vector<double> y = this->data(*this->top[0]);
  const auto by_exponentials = [](double x) {
    return (std::exp(x) - std::exp(-x)) / (std::exp(x) + std::exp(-x));
  };
  this->expect_near(y, {-1, by_exponentials(-1), -1e-6, 0, by_exponentials(0.5), 1}, 1e-6);
  EXPECT_NEAR(y[2] / -1e-6, 1, 1e-6);
}

TYPED_TEST(TanHLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5}, -2, 2);
  this->check_gradient("type: 'TanH'");
  this->top = {this->bottom[0]};
  this->check_gradient("type: 'TanH'");
}

}  // namespace caffe
