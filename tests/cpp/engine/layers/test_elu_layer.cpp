#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ELULayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ELULayerTest, DtypesAndDevices);

TYPED_TEST(ELULayerTest, Values) {
  this->add_bottom({5}, {-1000, -1, -1e-6, 0, 3});
  this->forward("type: 'ELU'");
  this->expect_near(this->data(*this->top[0]), {-1, std::exp(-1.) - 1, -1e-6, 0, 3});
  EXPECT_NEAR(this->data(*this->top[0])[2] / -1e-6, 1, 1e-6);
  this->forward("type: 'ELU' elu_param { alpha: 0.5 }");
  this->expect_near(this->data(*this->top[0]), {-0.5, (std::exp(-1.) - 1) / 2, -5e-7, 0, 3});
}

TYPED_TEST(ELULayerTest, Gradient) {
  GradientOptions options;
  options.kink_range = 0.02;
  this->add_bottom({2, 3, 4, 5});
  for (const char* alpha : {"0", "0.5", "1"}) {
    this->top.clear();
    const std::string text = std::string("type: 'ELU' elu_param { alpha: ") + alpha + " }";
    this->check_gradient(text, options);
    this->top = {this->bottom[0]};
    this->check_gradient(text, options);
  }
  this->top.clear();
  this->check_gradient("type: 'ELU' elu_param { alpha: -0.5 }", options);
}

TYPED_TEST(ELULayerTest, RefusesInPlaceWithAlphaBelowZero) {
  this->add_bottom({2, 3});
  this->top = {this->bottom[0]};
  auto layer = this->make("type: 'ELU' elu_param { alpha: -1 }");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (ELU): alpha -1 in place");
}

}  // namespace caffe
