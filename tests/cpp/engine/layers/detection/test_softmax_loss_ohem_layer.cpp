#include <cmath>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SoftmaxWithLossOHEMLayerTest : public LayerTest<TypeParam> {
 protected:
  static constexpr const char* kText =
      "type: 'SoftmaxWithLossOHEM' loss_param { ignore_label: 3 normalization: VALID }";
};
TYPED_TEST_SUITE(SoftmaxWithLossOHEMLayerTest, DtypesAndDevices);

TYPED_TEST(SoftmaxWithLossOHEMLayerTest, GivesTheLossOfEachPlace) {
  this->add_bottom({2, 3, 1, 2}, {0, 1, 0, 2, 0, 3, 1, 0, 1, 0, 3, 0});
  this->add_bottom({2, 1, 1, 2}, {2, 1, 3, 0});
  for (int t = 0; t < 3; ++t) this->add_top();
  this->forward(this->kText);
  EXPECT_EQ(this->top[1]->shape(), this->bottom[0]->shape());
  EXPECT_EQ(this->top[2]->shape(), this->bottom[1]->shape());
  const double second = std::log(std::exp(1.) + std::exp(2.) + std::exp(3.)) - 2;
  this->expect_near(this->data(*this->top[2]), {std::log(3.), second, 0, std::log(3.)});
  this->expect_near(this->data(*this->top[0]), {(2 * std::log(3.) + second) / 3});
}

TYPED_TEST(SoftmaxWithLossOHEMLayerTest, IsSoftmaxWithLoss) {
  this->add_bottom({3, 4, 2, 2}, -3, 3);
  this->add_bottom({3, 1, 2, 2}, {0, 1, 2, 3, 0, 3, 1, 0, 2, 2, 0, 1});
  this->forward(this->kText);
  const auto loss = this->data(*this->top[0]);
  const std::string text = this->kText;
  this->forward("type: 'SoftmaxWithLoss' " + text.substr(text.find("loss_param")));
  this->expect_near(loss, this->data(*this->top[0]));
}

TYPED_TEST(SoftmaxWithLossOHEMLayerTest, Gradient) {
  this->add_bottom({3, 4, 2, 2}, -3, 3);
  this->add_bottom({3, 1, 2, 2}, {0, 1, 2, 3, 0, 3, 1, 0, 2, 2, 0, 1});
  for (int t = 0; t < 3; ++t) this->add_top();
  this->check_gradient(this->kText, {}, true);
}

TYPED_TEST(SoftmaxWithLossOHEMLayerTest, LabelsHaveTheGradientZero) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 1}, {0, 2});
  auto layer = this->forward(this->kText);
  this->top[0]->mutable_cpu_diff()[0] = 1;
  std::fill_n(this->bottom[1]->mutable_cpu_diff(), 2, 7);
  layer->Backward(this->top, {true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[1]), {0, 0});
  EXPECT_NE(this->diff(*this->bottom[0])[0], 0);
}

TYPED_TEST(SoftmaxWithLossOHEMLayerTest, FollowsItsBottoms) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 1}, {0, 2});
  for (int t = 0; t < 3; ++t) this->add_top();
  auto layer = this->forward(this->kText);
  for (const int items : {4, 1}) {
    this->bottom[0]->Reshape({items, 3});
    this->bottom[1]->Reshape({items, 1});
    std::fill_n(this->bottom[0]->mutable_cpu_data(), 3 * items, 1);
    std::fill_n(this->bottom[1]->mutable_cpu_data(), items, 2);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[2]->shape(), (std::vector<int>{items, 1}));
    this->expect_near(this->data(*this->top[2]), std::vector<double>(items, std::log(3.)));
  }
}

}  // namespace caffe
