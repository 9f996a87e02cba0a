#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SmoothL1LossLayerTest : public LayerTest<TypeParam> {
 protected:
  /// The formula, in double.
  double reference(double sigma) const {
    const auto weight = [&](size_t b, int i) {
      return this->bottom.size() > b ? double(this->bottom[b]->cpu_data()[i]) : 1;
    };
    double sum = 0;
    for (int i = 0; i < this->bottom[0]->count(); ++i) {
      const double a = this->bottom[0]->cpu_data()[i], b = this->bottom[1]->cpu_data()[i];
      const double d = std::abs(weight(2, i) * (a - b)), s2 = sigma * sigma;
      sum += weight(3, i) * (d < 1 / s2 ? 0.5 * s2 * d * d : d - 0.5 / s2);
    }
    return sum / this->bottom[0]->shape(0);
  }
};
TYPED_TEST_SUITE(SmoothL1LossLayerTest, DtypesAndDevices);

TYPED_TEST(SmoothL1LossLayerTest, ValuesByHand) {
  this->add_bottom({2, 2}, {0, 3, 1, -1});
  this->add_bottom({2, 2}, {0.5, 0, 1, 1});
  this->forward("type: 'SmoothL1Loss'");  // d = -0.5, 3, 0, -2
  EXPECT_EQ(this->top[0]->num_axes(), 0);
  EXPECT_NEAR(this->top[0]->cpu_data()[0], (0.125 + 2.5 + 0 + 1.5) / 2, 1e-6);
  this->add_bottom({2, 2}, {1, 0, 1, 0.25});  // d = -0.5, 0, 0, -0.5
  this->forward("type: 'SmoothL1Loss'");
  EXPECT_NEAR(this->top[0]->cpu_data()[0], (0.125 + 0.125) / 2, 1e-6);
  this->add_bottom({2, 2}, {2, 1, 1, -1});
  this->forward("type: 'SmoothL1Loss'");
  EXPECT_NEAR(this->top[0]->cpu_data()[0], (0.25 - 0.125) / 2, 1e-6);
  this->forward("type: 'SmoothL1Loss' smooth_l1_loss_param { sigma: 3 }");  // |d| - 1 / 18
  EXPECT_NEAR(this->top[0]->cpu_data()[0], (0.5 - 1 / 18.) / 2, 1e-6);
}

TYPED_TEST(SmoothL1LossLayerTest, AsTheFormula) {
  for (int bottoms = 2; bottoms <= 4; ++bottoms) {
    this->bottom.clear();
    for (int b = 0; b < bottoms; ++b) this->add_bottom({5, 3, 4, 7}, -2, 2);
    for (const double sigma : {1., 3.}) {
      this->top.clear();
      this->forward("type: 'SmoothL1Loss' smooth_l1_loss_param { sigma: " + std::to_string(sigma) +
                    " }");
      this->expect_near(this->data(*this->top[0]), {this->reference(sigma)});
    }
  }
}

TYPED_TEST(SmoothL1LossLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1};
  for (int bottoms = 2; bottoms <= 4; ++bottoms) {
    this->bottom.clear();
    this->top.clear();
    for (int b = 0; b < bottoms; ++b) this->add_bottom({4, 3, 2}, -2, 2);
    this->check_gradient("type: 'SmoothL1Loss' loss_weight: 2.5", options, true);
    if (this->HasFatalFailure()) return;
    this->top.clear();
    this->check_gradient("type: 'SmoothL1Loss' smooth_l1_loss_param { sigma: 1.5 }", options, true);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(SmoothL1LossLayerTest, BackwardTwiceIsTheSame) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 3});
  auto layer = this->forward("type: 'SmoothL1Loss'");
  layer->Backward(this->top, {true, true}, this->bottom);
  const std::vector<double> once = this->diff(*this->bottom[0]);
  layer->Backward(this->top, {true, true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), once);
}

TYPED_TEST(SmoothL1LossLayerTest, Reshapes) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 3});
  auto layer = this->forward("type: 'SmoothL1Loss'");
  for (const int items : {6, 1}) {
    for (Blob<typename TypeParam::Dtype>* blob : this->bottom) {
      blob->Reshape({items, 3});
      this->fill_random(blob, blob == this->bottom[0] ? 3 : 4, -2, 2);
    }
    layer->Reshape(this->bottom, this->top);
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]), {this->reference(1)});
  }
}

// End-to-end training of Faster R-CNN takes the weights from a layer in Python behind learnt ones.
TYPED_TEST(SmoothL1LossLayerTest, WeightsHaveTheGradientZero) {
  for (int b = 0; b < 4; ++b) this->add_bottom({2, 3});
  auto layer = this->forward("type: 'SmoothL1Loss'");
  this->top[0]->mutable_cpu_diff()[0] = 1;
  for (Blob<typename TypeParam::Dtype>* blob : this->bottom) {
    std::fill_n(blob->mutable_cpu_diff(), 6, 7);
  }
  layer->Backward(this->top, {true, false, true, true}, this->bottom);
  const std::vector<double> zero(6, 0);
  EXPECT_NE(this->diff(*this->bottom[0]), zero);
  EXPECT_EQ(this->diff(*this->bottom[1]), std::vector<double>(6, 7));
  EXPECT_EQ(this->diff(*this->bottom[2]), zero);
  EXPECT_EQ(this->diff(*this->bottom[3]), zero);
  layer->Backward(this->top, {false, false, false, true}, this->bottom);
}

TYPED_TEST(SmoothL1LossLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 3});
  this->add_bottom({2, 2});
  this->add_top();
  const auto set_up = [&](const std::string& param = "") {
    this->make("type: 'SmoothL1Loss' " + param)->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(), "'under_test' (SmoothL1Loss): the inside weights, bottom 2, must be as");
  EXPECT_ERROR(set_up("smooth_l1_loss_param { sigma: 0 }"), "sigma is 0");
  this->bottom[2]->Reshape({2, 3});
  auto layer = this->make("type: 'SmoothL1Loss'");
  layer->SetUp(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  EXPECT_TRUE(layer->AllowForceBackward(1));
  EXPECT_FALSE(layer->AllowForceBackward(2));
}

}  // namespace caffe
