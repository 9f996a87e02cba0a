#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SPPLayerTest : public LayerTest<TypeParam> {
 protected:
  /// Values in steps far larger than the differences', in random order, so that no maximum changes.
  void add_shuffled_bottom(const std::vector<int>& shape) {
    auto* const blob = this->add_bottom(shape);
    for (int i = 0; i < blob->count(); ++i) {
      blob->mutable_cpu_data()[i] = 0.1 * (i * 37 % blob->count());
    }
  }
};
TYPED_TEST_SUITE(SPPLayerTest, DtypesAndDevices);

TYPED_TEST(SPPLayerTest, Values) {
  std::vector<double> ramp(4 * 4);
  for (int i = 0; i < 16; ++i) ramp[i] = i;
  this->add_bottom({1, 1, 4, 4}, ramp);
  this->forward("type: 'SPP' spp_param { pyramid_height: 2 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 5}));
  this->expect_near(this->data(*this->top[0]), {15, 5, 7, 13, 15});
  this->forward("type: 'SPP' spp_param { pyramid_height: 2 pool: AVE }");
  this->expect_near(this->data(*this->top[0]), {7.5, 2.5, 4.5, 10.5, 12.5});
}

TYPED_TEST(SPPLayerTest, LengthDependsOnlyOnTheLevels) {
  auto* const blob = this->add_bottom({2, 3, 9, 7});
  auto layer = this->forward("type: 'SPP' spp_param { pyramid_height: 3 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3 * (1 + 4 + 16)}));
  blob->Reshape({1, 3, 12, 16});
  this->fill_random(blob, 3);
  layer->Reshape(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 3 * (1 + 4 + 16)}));
}

TYPED_TEST(SPPLayerTest, Gradient) {
  this->add_shuffled_bottom({2, 2, 6, 7});
  this->check_gradient("type: 'SPP' spp_param { pyramid_height: 2 }");
  this->check_gradient("type: 'SPP' spp_param { pyramid_height: 2 pool: AVE }");
}

TYPED_TEST(SPPLayerTest, Errors) {
  this->add_bottom({1, 1, 3, 3});
  this->add_top();
  const auto set_up = [&](const std::string& text) {
    this->make("type: 'SPP' spp_param { " + text + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""), "'under_test' (SPP): pyramid_height is missing or 0");
  EXPECT_ERROR(set_up("pyramid_height: 4294967295"), "planes of 3 x 3 are too small for");
  EXPECT_ERROR(set_up("pyramid_height: 3"), "lower pyramid_height to 2 or less");
  this->bottom[0]->Reshape({1, 9});
  EXPECT_ERROR(set_up("pyramid_height: 1"), "takes a blob of four axes");
}

}  // namespace caffe
