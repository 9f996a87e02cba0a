#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class CenterLossLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  static constexpr const char* kText =
      "type: 'CenterLoss' center_loss_param { num_output: 3 center_filler { type: 'uniform' "
      "min: -1 max: 1 } }";

  /// Loss, gradient and the change of the centres, from the formulas, in double.
  void expect_reference(Layer<Dtype>& layer, double top_diff, int passes) {
    const Blob<Dtype>&x = *this->bottom[0], &centres = *layer.blobs()[0];
    const int items = x.shape(0), length = x.count(1);
    std::vector<double> gradient, update(centres.count(), 0), counts(centres.shape(0), 1);
    double loss = 0;
    for (int i = 0; i < items; ++i) counts[int(this->bottom[1]->cpu_data()[i])] += 1;
    for (int i = 0; i < items; ++i) {
      const int label = static_cast<int>(this->bottom[1]->cpu_data()[i]);
      for (int k = 0; k < length; ++k) {
        const int at = label * length + k;
        const double d = double(x.cpu_data()[i * length + k]) - centres.cpu_data()[at];
        loss += d * d / 2 / items;
        gradient.push_back(top_diff * d / items);
        update[at] -= passes * d / counts[label];
      }
    }
    this->expect_near(this->data(*this->top[0]), {loss});
    this->expect_near(this->diff(x), gradient);
    this->expect_near(this->diff(centres), update);
  }
};
TYPED_TEST_SUITE(CenterLossLayerTest, DtypesAndDevices);

TYPED_TEST(CenterLossLayerTest, ValuesByHand) {
  this->add_bottom({3, 2}, {1, 0, 3, 2, 0, 4});
  this->add_bottom({3}, {1, 1, 0});
  auto layer = this->forward(
      "type: 'CenterLoss' center_loss_param { num_output: 2 center_filler { value: 1 } }");
  this->expect_near(this->data(*this->top[0]), {(0 + 1 + 4 + 1 + 1 + 9) / 6.});
  this->top[0]->mutable_cpu_diff()[0] = 2;
  layer->Backward(this->top, {true, false}, this->bottom);
  const double third = 2. / 3;
  this->expect_near(this->diff(*this->bottom[0]), {0, -third, 2 * third, third, -third, 3 * third});
  // (1 + 0 and 1 items' sums of c - x) by 1 + items
  this->expect_near(this->diff(*layer->blobs()[0]), {1. / 2, -3. / 2, -2. / 3, 0});
}

// A pass adds to the centres' gradients (iter_size), and the loss weight is not in them.
TYPED_TEST(CenterLossLayerTest, PassesAddUp) {
  this->add_bottom({7, 2, 3});
  this->add_bottom({7, 1, 1, 1}, {2, 0, 2, 2, 0, 2, 2});  // none of class 1
  auto layer = this->forward(this->kText);
  this->top[0]->mutable_cpu_diff()[0] = 0.5;
  for (int pass = 1; pass <= 3; ++pass) {
    layer->Backward(this->top, {true, false}, this->bottom);
    this->expect_reference(*layer, 0.5, pass);
  }
}

TYPED_TEST(CenterLossLayerTest, LongItems) {
  for (const std::vector<int>& shape : {std::vector<int>{11, 1000}, {2, 1100}, {300, 33}}) {
    this->bottom.clear();
    this->add_bottom(shape);
    this->add_bottom({shape[0]});
    for (int i = 0; i < shape[0]; ++i) this->bottom[1]->mutable_cpu_data()[i] = i * i % 3;
    auto layer = this->forward(this->kText);
    this->top[0]->mutable_cpu_diff()[0] = 1;
    layer->Backward(this->top, {true, false}, this->bottom);
    this->expect_reference(*layer, 1, 1);
  }
}

TYPED_TEST(CenterLossLayerTest, OtherBatches) {
  this->add_bottom({2, 5});
  this->add_bottom({2}, {0, 1});
  auto layer = this->forward(this->kText);
  for (const int items : {40, 1, 3}) {
    this->bottom[0]->Reshape({items, 5});
    this->bottom[1]->Reshape({items});
    this->fill_random(this->bottom[0], items);
    for (int i = 0; i < items; ++i) this->bottom[1]->mutable_cpu_data()[i] = i * i % 3;
    Blob<typename TypeParam::Dtype>& centres = *layer->blobs()[0];
    std::fill_n(centres.mutable_cpu_diff(), centres.count(), 0);
    layer->Forward(this->bottom, this->top);
    this->top[0]->mutable_cpu_diff()[0] = 1;
    layer->Backward(this->top, {true, false}, this->bottom);
    this->expect_reference(*layer, 1, 1);
  }
}

TYPED_TEST(CenterLossLayerTest, CentresThatDoNotLearn) {
  this->add_bottom({2, 3});
  this->add_bottom({2}, {0, 1});
  auto layer = this->forward(this->kText);
  layer->set_param_propagate_down(0, false);
  layer->Backward(this->top, {true, false}, this->bottom);
  this->expect_near(this->diff(*layer->blobs()[0]), std::vector<double>(9, 0));
}

TYPED_TEST(CenterLossLayerTest, NoItems) {
  this->add_bottom({0, 3});
  this->add_bottom({0});
  auto layer = this->forward(this->kText);
  this->expect_near(this->data(*this->top[0]), {0});
  layer->Backward(this->top, {true, false}, this->bottom);
  this->expect_near(this->diff(*layer->blobs()[0]), std::vector<double>(9, 0));
}

TYPED_TEST(CenterLossLayerTest, Gradient) {
  GradientOptions options;
  options.params = false;  // the centres follow a rule of their own
  this->add_bottom({5, 4});
  this->add_bottom({5}, {0, 2, 2, 1, 2});
  this->check_gradient(std::string(this->kText) + " loss_weight: 3", options, true);
}

TYPED_TEST(CenterLossLayerTest, LabelsHaveTheGradientZeroAndErrors) {
  this->add_bottom({2, 3});
  this->add_bottom({2}, {0, 1});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'CenterLoss' center_loss_param { " + param + " }")
        ->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""), "'under_test' (CenterLoss): center_loss_param must give num_output");
  EXPECT_ERROR(set_up("num_output: 2 distance_type: 'L1'"), "distance_type is 'L1'");
  auto layer = this->forward(this->kText);
  std::fill_n(this->bottom[1]->mutable_cpu_diff(), 2, 7);
  layer->Backward(this->top, {true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[1]), {0, 0});
  this->bottom[1]->mutable_cpu_data()[1] = 3;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "label 3 (number 1 of 2) is out of range");
  this->bottom[1]->Reshape({2, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "one label for each of the 2 items");
  this->bottom[0]->Reshape({2, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "its centres have 3 features, and the");
}

}  // namespace caffe
