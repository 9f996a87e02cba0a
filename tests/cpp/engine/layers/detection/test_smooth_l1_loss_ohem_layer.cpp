#include <cmath>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SmoothL1LossOHEMLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string text(const std::string& normalization) {
    return "type: 'SmoothL1LossOHEM' loss_param { normalization: " + normalization + " }";
  }
  /// The sums of f(d) over the channels.
  std::vector<double> reference() const {
    const auto& a = *this->bottom[0];
    const int channels = a.shape(1), inner = a.count(2);
    std::vector<double> sums(a.count() / channels, 0);
    for (int i = 0; i < a.count(); ++i) {
      const double w = this->bottom.size() > 2 ? this->bottom[2]->cpu_data()[i] : 1;
      const double d = std::abs(w * (a.cpu_data()[i] - this->bottom[1]->cpu_data()[i]));
      sums[i / inner / channels * inner + i % inner] += d < 1 ? d * d / 2 : d - 0.5;
    }
    return sums;
  }
};
TYPED_TEST_SUITE(SmoothL1LossOHEMLayerTest, DtypesAndDevices);

TYPED_TEST(SmoothL1LossOHEMLayerTest, Values) {
  this->add_bottom({2, 2, 1, 2}, {0, 1, 2, 3, 0.5, 1, 1, 1});
  this->add_bottom({2, 2, 1, 2}, {0.5, 1, 0, 0, 0, 0, 3, -1});
  this->add_bottom({2, 2, 1, 2}, {1, 1, 1, 0, 1, 1, 1, 2});
  this->add_top();
  this->add_top();
  // d = -0.5, 0, 2, 0 and 0.5, 1, -2, 4.
  const std::vector<double> places = {1.625, 0, 1.625, 4};
  for (const auto& z : {std::make_pair("VALID", 4.), std::make_pair("FULL", 4.),
                        std::make_pair("BATCH_SIZE", 2.), std::make_pair("NONE", 1.)}) {
    this->forward(this->text(z.first));
    this->expect_near(this->data(*this->top[0]), {7.25 / z.second});
    EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{2, 1, 1, 2}));
    this->expect_near(this->data(*this->top[1]), places);
  }
  this->forward(
      "type: 'SmoothL1LossOHEM' loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 8 }");
  this->expect_near(this->data(*this->top[0]), {7.25 / 8});
  this->forward("type: 'SmoothL1LossOHEM'");
  this->expect_near(this->data(*this->top[0]), {7.25 / 4});
  this->forward("type: 'SmoothL1LossOHEM' loss_param { normalize: false }");
  this->expect_near(this->data(*this->top[0]), {7.25 / 2});
}

TYPED_TEST(SmoothL1LossOHEMLayerTest, FollowsItsBottoms) {
  this->add_bottom({2, 3, 2, 2});
  this->add_bottom({2, 3, 2, 2});
  this->add_top();
  this->add_top();
  auto layer = this->forward(this->text("NONE"));
  for (const int items : {4, 1}) {
    for (auto* blob : this->bottom) {
      blob->Reshape({items, 5, 1, items});
      this->fill_random(blob, static_cast<int>(blob == this->bottom[0]), -2, 2);
    }
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[1]), this->reference());
  }
}

// Places whose channels are contiguous.
TYPED_TEST(SmoothL1LossOHEMLayerTest, ManyChannels) {
  this->add_top();
  this->add_top();
  for (const std::vector<int>& shape : {std::vector<int>{11, 1000}, {2, 1100}, {300, 33}}) {
    this->bottom.clear();
    for (int k = 0; k < 2; ++k) this->add_bottom(shape, -2, 2);
    auto layer = this->forward(this->text("NONE"));
    this->expect_near(this->data(*this->top[1]), this->reference());
    this->top[0]->mutable_cpu_diff()[0] = 1;
    layer->Backward(this->top, {true, false}, this->bottom);
    std::vector<double> slopes;
    for (int i = 0; i < this->bottom[0]->count(); ++i) {
      const auto d = this->bottom[0]->cpu_data()[i] - this->bottom[1]->cpu_data()[i];
      slopes.push_back(std::min(1., std::max(-1., double(d))));
    }
    this->expect_near(this->diff(*this->bottom[0]), slopes);
  }
}

TYPED_TEST(SmoothL1LossOHEMLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1};
  this->add_bottom({2, 3, 2, 2}, -2, 2);
  this->add_bottom({2, 3, 2, 2}, -2, 2);
  this->add_top();
  this->add_top();
  this->check_gradient(this->text("BATCH_SIZE"), options, true);
  this->add_bottom({2, 3, 2, 2}, 0, 1.5);
  this->check_gradient(this->text("NONE"), options, true);
}

TYPED_TEST(SmoothL1LossOHEMLayerTest, WeightsHaveTheGradientZero) {
  for (int b = 0; b < 3; ++b) this->add_bottom({1, 2}, {1, 2});
  auto layer = this->forward("type: 'SmoothL1LossOHEM'");
  this->bottom[2]->mutable_cpu_diff()[0] = NAN;
  layer->Backward(this->top, {false, false, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[2]), {0, 0});
  EXPECT_FALSE(layer->AllowForceBackward(2));
}

TYPED_TEST(SmoothL1LossOHEMLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 4});
  this->add_top();
  EXPECT_ERROR(this->make("type: 'SmoothL1LossOHEM'")->SetUp(this->bottom, this->top),
               "'under_test' (SmoothL1LossOHEM): takes predictions, targets and weights of one");
}

}  // namespace caffe
