#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class BNLLLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(BNLLLayerTest, DtypesAndDevices);

TYPED_TEST(BNLLLayerTest, Values) {
  this->add_bottom({6}, {-1000, -10, 0, 0.5, 60, 1000});
  this->forward("type: 'BNLL'");
  const auto y = this->data(*this->top[0]);
  this->expect_near(
      y, {0, std::log1p(std::exp(-10.)), std::log(2.), std::log1p(std::exp(0.5)), 60, 1000});
  EXPECT_NEAR(y[1] / std::exp(-10.), 1, 1e-4);
}

TYPED_TEST(BNLLLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5}, -4, 4);
  this->check_gradient("type: 'BNLL'");
  this->top = this->bottom;
  this->check_gradient("type: 'BNLL'");
}

}  // namespace caffe
