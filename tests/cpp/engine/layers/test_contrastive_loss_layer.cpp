#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ContrastiveLossLayerTest : public LayerTest<TypeParam> {
 protected:
  /// Distances of 0.5 (similar), 0.5 and 2 (dissimilar).
  void add_pairs() {
    this->add_bottom({3, 2}, {0.3, 0.4, 0.3, 0.4, 2, 1});
    this->add_bottom({3, 2}, {0, 0, 0, 0, 0, 1});
    this->add_bottom({3}, {1, 0, 0});
  }
};
TYPED_TEST_SUITE(ContrastiveLossLayerTest, DtypesAndDevices);

TYPED_TEST(ContrastiveLossLayerTest, Values) {
  this->add_pairs();
  this->forward("type: 'ContrastiveLoss' contrastive_loss_param { margin: 1.5 }");
  this->expect_near(this->data(*this->top[0]), {(0.25 + 1) / 6});
  this->forward(
      "type: 'ContrastiveLoss' contrastive_loss_param { margin: 1.5 legacy_version: true }");
  this->expect_near(this->data(*this->top[0]), {(0.25 + 1.25) / 6});
}

TYPED_TEST(ContrastiveLossLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1};
  options.tolerance = 2e-3;  // the 1e-4 that the gradient adds to the distance
  this->add_bottom({5, 3}, 0.5, 1);
  this->add_bottom({5, 3}, -1, 0);
  this->add_bottom({5}, {1, 0, 0, 1, 0});
  for (const char* legacy : {"false", "true"}) {
    const std::string param = std::string("margin: 9 legacy_version: ") + legacy;
    this->check_gradient(
        "type: 'ContrastiveLoss' loss_weight: 2 contrastive_loss_param { " + param + " }", options,
        true);
  }
}

TYPED_TEST(ContrastiveLossLayerTest, LongItems) {
  for (const std::vector<int>& shape : {std::vector<int>{11, 1000}, {2, 1100}, {300, 33}}) {
    const int items = shape[0], length = shape[1];
    this->bottom.clear();
    this->add_bottom(shape);
    this->add_bottom(shape);
    this->add_bottom({items});
    double sum = 0;
    for (int i = 0; i < items; ++i) {
      this->bottom[2]->mutable_cpu_data()[i] = i % 2;
      double squared = 0;
      for (int k = i * length; k < (i + 1) * length; ++k) {
        squared += std::pow(
            double(this->bottom[0]->cpu_data()[k]) - double(this->bottom[1]->cpu_data()[k]), 2);
      }
      sum += i % 2 == 1 ? squared : std::pow(std::max(50 - std::sqrt(squared), 0.), 2);
    }
    this->forward("type: 'ContrastiveLoss' contrastive_loss_param { margin: 50 }");
    this->expect_near(this->data(*this->top[0]), {sum / (2 * items)});
  }
}

TYPED_TEST(ContrastiveLossLayerTest, EqualDissimilarItemsHaveNoGradient) {
  this->add_bottom({1, 2}, std::vector<double>{0.5, 1});
  this->add_bottom({1, 2}, std::vector<double>{0.5, 1});
  this->add_bottom({1}, std::vector<double>{0});
  auto layer = this->forward("type: 'ContrastiveLoss'");
  this->top[0]->mutable_cpu_diff()[0] = 1;
  layer->Backward(this->top, {true, true, false}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 0});
}

TYPED_TEST(ContrastiveLossLayerTest, Errors) {
  this->add_pairs();
  this->add_top();
  auto layer = this->make("type: 'ContrastiveLoss'");
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Backward(this->top, {true, true, true}, this->bottom),
               "'under_test' (ContrastiveLoss): there is no gradient for bottom 2");
  this->bottom[2]->Reshape({2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "must say for each of the 3 pairs");
  this->bottom[1]->Reshape({3, 1});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "the first two bottoms must have the same size");
}

}  // namespace caffe
