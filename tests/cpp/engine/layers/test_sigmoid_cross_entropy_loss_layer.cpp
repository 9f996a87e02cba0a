#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SigmoidCrossEntropyLossLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string layer_text(const std::string& param = "") {
    return "type: 'SigmoidCrossEntropyLoss' loss_param { " + param + " }";
  }
  /// Ignores whole targets of -1.
  double sum_of_losses() const {
    const auto x = this->data(*this->bottom[0]), t = this->data(*this->bottom[1]);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double p = 1 / (1 + std::exp(-x[i]));
      if (t[i] != -1) sum -= t[i] * std::log(p) + (1 - t[i]) * std::log(1 - p);
    }
    return sum;
  }
  void expect_loss(const std::string& param, double expected) {
    this->forward(layer_text(param));
    EXPECT_NEAR(this->top[0]->cpu_data()[0], expected, 1e-5 * expected) << param;
  }
};
TYPED_TEST_SUITE(SigmoidCrossEntropyLossLayerTest, DtypesAndDevices);

TYPED_TEST(SigmoidCrossEntropyLossLayerTest, Normalization) {
  this->add_bottom({2, 3}, -4, 4);
  this->add_bottom({2, 3}, {0, 1, 0.25, -1, 1, 0.75});
  const double sum = this->sum_of_losses();
  this->expect_loss("ignore_label: -1", sum / 2);
  this->expect_loss("ignore_label: -1 normalize: true", sum / 5);
  this->expect_loss("ignore_label: -1 normalize: false", sum / 2);
  this->expect_loss("ignore_label: -1 normalization: FULL", sum / 6);
  this->expect_loss("ignore_label: -1 normalization: VALID", sum / 5);
  this->expect_loss("ignore_label: -1 normalization: BATCH_SIZE", sum / 2);
  this->expect_loss("ignore_label: -1 normalization: NONE", sum);
}

TYPED_TEST(SigmoidCrossEntropyLossLayerTest, ATargetThatIsNotANumberIsNotIgnored) {
  this->add_bottom({1, 3}, {1, 2, 3});
  this->add_bottom({1, 3}, {1, std::nan(""), 0});
  this->forward(this->layer_text("ignore_label: 0"));
  EXPECT_TRUE(std::isnan(this->top[0]->cpu_data()[0]));
}

TYPED_TEST(SigmoidCrossEntropyLossLayerTest, LargeScores) {
  this->add_bottom({1, 4}, {500, -500, 500, -500});
  this->add_bottom({1, 4}, {1, 0, 0, 1});
  this->expect_loss("", 1000);
}

TYPED_TEST(SigmoidCrossEntropyLossLayerTest, Gradient) {
  this->add_bottom({3, 2, 2}, -2, 2);
  this->add_bottom({3, 2, 2}, {0, 1, 0.5, 1, 2, 0.25, 0, 1, 2, 2, 0.75, 1});
  this->check_gradient(this->layer_text() + " loss_weight: 1.5", {}, true);
  this->check_gradient(this->layer_text("ignore_label: 2 normalization: VALID"), {}, true);
}

TYPED_TEST(SigmoidCrossEntropyLossLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 2});
  this->add_top();
  auto layer = this->make(this->layer_text());
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top),
               "'under_test' (SigmoidCrossEntropyLoss): takes one target for each score");
  this->bottom[1]->Reshape({2, 3});
  layer->SetUp(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  EXPECT_ERROR(layer->Backward(this->top, {true, true}, this->bottom), "bottom 1, the labels");
}

}  // namespace caffe
