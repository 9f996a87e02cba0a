#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class TripletLossLayerTest : public LayerTest<TypeParam> {
 protected:
  double reference(double margin) {
    const int items = this->bottom[0]->shape(0), length = this->bottom[0]->count(1);
    double sum = 0;
    for (int i = 0; i < items; ++i) {
      double term = margin;
      for (int k = i * length; k < (i + 1) * length; ++k) {
        const double a = this->bottom[0]->cpu_data()[k];
        term += std::pow(a - this->bottom[1]->cpu_data()[k], 2);
        term -= std::pow(a - this->bottom[2]->cpu_data()[k], 2);
      }
      sum += std::max(term, 0.);
    }
    return sum / (2 * items);
  }
};
TYPED_TEST_SUITE(TripletLossLayerTest, DtypesAndDevices);

// Squared distances of 1 and 4, 1 and 0.25: the first is apart by the margin.
TYPED_TEST(TripletLossLayerTest, Values) {
  this->add_bottom({2, 2}, {0, 0, 0, 0});
  this->add_bottom({2, 2}, {1, 0, 0, 1});
  this->add_bottom({2, 2}, {0, 2, 0.5, 0});
  auto layer = this->forward("type: 'TripletLoss'");
  this->expect_near(this->data(*this->top[0]), {1.75 / 4});
  this->top[0]->mutable_cpu_diff()[0] = 4;
  layer->Backward(this->top, {true, true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 0, 1, -2});
  this->expect_near(this->diff(*this->bottom[1]), {0, 0, 0, 2});
  this->expect_near(this->diff(*this->bottom[2]), {0, 0, -1, 0});
  this->forward("type: 'TripletLoss' triplet_loss_param { margin: 4 }");
  this->expect_near(this->data(*this->top[0]), {(1 + 4.75) / 4});
}

TYPED_TEST(TripletLossLayerTest, OtherBatches) {
  for (int k = 0; k < 3; ++k) this->add_bottom({4, 3, 2});
  auto layer = this->forward("type: 'TripletLoss' triplet_loss_param { margin: 0.3 }");
  this->expect_near(this->data(*this->top[0]), {this->reference(0.3f)});
  for (const int items : {9, 2}) {
    for (int k = 0; k < 3; ++k) {
      this->bottom[k]->Reshape({items, 6, 1, 1});
      this->fill_random(this->bottom[k], items + k);
    }
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]), {this->reference(0.3f)});
  }
}

TYPED_TEST(TripletLossLayerTest, LongItems) {
  for (int k = 0; k < 3; ++k) this->add_bottom({1});
  for (const std::vector<int>& shape : {std::vector<int>{11, 1000}, {2, 1100}, {300, 33}}) {
    for (int k = 0; k < 3; ++k) {
      this->bottom[k]->Reshape(shape);
      this->fill_random(this->bottom[k], k, 0, k);  // the positives are the nearer
    }
    this->forward("type: 'TripletLoss' triplet_loss_param { margin: 1000 }");
    this->expect_near(this->data(*this->top[0]), {this->reference(1000)});
  }
}

TYPED_TEST(TripletLossLayerTest, NoItems) {
  for (int k = 0; k < 3; ++k) this->add_bottom({0, 3});
  auto layer = this->forward("type: 'TripletLoss'");
  this->expect_near(this->data(*this->top[0]), {0});
  layer->Backward(this->top, {true, true, true}, this->bottom);
}

TYPED_TEST(TripletLossLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1, 2};
  this->add_bottom({4, 3});
  this->add_bottom({4, 3});
  this->add_bottom({4, 3});
  this->check_gradient("type: 'TripletLoss' loss_weight: 2 triplet_loss_param { margin: 9 }",
                       options, true);
  for (int k = 0; k < 3; ++k) this->bottom[2]->mutable_cpu_data()[k] += 5;  // one is apart
  this->check_gradient("type: 'TripletLoss' triplet_loss_param { margin: 9 }", options, true);
}

TYPED_TEST(TripletLossLayerTest, Errors) {
  for (int k = 0; k < 3; ++k) this->add_bottom({4, 3});
  auto layer = this->forward("type: 'TripletLoss'");
  this->bottom[2]->Reshape({4, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (TripletLoss): anchor, positive and negative must have the same");
  this->bottom[2]->Reshape({3, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "must have the same number of items");
}

}  // namespace caffe
