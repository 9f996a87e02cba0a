#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SigmoidLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(SigmoidLayerTest, DtypesAndDevices);

TYPED_TEST(SigmoidLayerTest, Values) {
  this->add_bottom({7}, {-1000, -20, -1, -0.0, 0.5, 20, 1000});
  this->forward("type: 'Sigmoid'");
  const std::vector<double> y = this->data(*this->top[0]);
  EXPECT_LT(y[0], 1e-30);
  for (int i : {1, 2, 3, 4, 5}) {
    const double expected = 1 / (1 + std::exp(-this->data(*this->bottom[0])[i]));
    EXPECT_NEAR(y[i] / expected, 1, 4e-7) << i;
  }
  EXPECT_EQ(y[6], 1);
}

TYPED_TEST(SigmoidLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 5}, -3, 3);
  this->check_gradient("type: 'Sigmoid'");
  this->top = {this->bottom[0]};
  this->check_gradient("type: 'Sigmoid'");
}

}  // namespace caffe
