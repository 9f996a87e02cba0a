#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ScaleRankLossLayerTest : public LayerTest<TypeParam> {
 protected:
  double reference(double margin) {
    const int scales = static_cast<int>(this->bottom.size()) - 1;
    const int items = this->bottom[0]->shape(0), classes = this->bottom[0]->count(1);
    double sum = 0;
    for (int i = 0; i < items; ++i) {
      const int at = i * classes + static_cast<int>(this->bottom[scales]->cpu_data()[i]);
      for (int s = 0; s + 1 < scales; ++s) {
        const double gap = this->bottom[s]->cpu_data()[at] - this->bottom[s + 1]->cpu_data()[at];
        sum += std::max(0., gap + margin);
      }
    }
    return sum / items;
  }
};
TYPED_TEST_SUITE(ScaleRankLossLayerTest, DtypesAndDevices);

// The finer scale is surer by 0.3, surer by 0.03, less sure by 0.5.
TYPED_TEST(ScaleRankLossLayerTest, Values) {
  this->add_bottom({3, 2}, {0.25, 0.75, 0.5, 0.5, 0.25, 0.75});
  this->add_bottom({3, 2}, {0.55, 0.45, 0.47, 0.53, 0.75, 0.25});
  this->add_bottom({3}, {0, 1, 1});
  auto layer = this->forward("type: 'ScaleRankLoss'");
  this->expect_near(this->data(*this->top[0]), {(0.47 + 2 * 0.05f) / 3});
  this->top[0]->mutable_cpu_diff()[0] = 6;
  layer->Backward(this->top, {true, true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 0, 0, 2, 0, 2});
  this->expect_near(this->diff(*this->bottom[1]), {0, 0, 0, -2, 0, -2});
  this->expect_near(this->diff(*this->bottom[2]), {0, 0, 0});
  this->forward("type: 'ScaleRankLoss' scale_rank_loss_param { margin: 0 }");
  this->expect_near(this->data(*this->top[0]), {0.5 / 3});
}

TYPED_TEST(ScaleRankLossLayerTest, OtherBatchesAndMoreScales) {
  for (int s = 0; s < 4; ++s) this->add_bottom({4, 3}, 0, 1);
  this->add_bottom({4}, {0, 2, 1, 2});
  auto layer = this->forward("type: 'ScaleRankLoss' scale_rank_loss_param { margin: 0.25 }");
  this->expect_near(this->data(*this->top[0]), {this->reference(0.25)});
  for (const int items : {6, 2}) {
    for (int s = 0; s < 4; ++s) {
      this->bottom[s]->Reshape({items, 5, 1, 1});
      this->fill_random(this->bottom[s], items + s, 0, 1);
    }
    this->bottom[4]->Reshape({items, 1, 1, 1});
    for (int i = 0; i < items; ++i) this->bottom[4]->mutable_cpu_data()[i] = i % 5;
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]), {this->reference(0.25)});
  }
}

TYPED_TEST(ScaleRankLossLayerTest, NoItems) {
  for (int s = 0; s < 2; ++s) this->add_bottom({0, 3});
  this->add_bottom({0});
  auto layer = this->forward("type: 'ScaleRankLoss'");
  this->expect_near(this->data(*this->top[0]), {0});
  layer->Backward(this->top, {true, true, false}, this->bottom);
}

TYPED_TEST(ScaleRankLossLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1, 2};
  for (int s = 0; s < 3; ++s) this->add_bottom({5, 4}, 0, 1);
  this->add_bottom({5}, {0, 3, 1, 2, 3});
  this->check_gradient("type: 'ScaleRankLoss' scale_rank_loss_param { margin: 2 }", options, true);
  this->check_gradient("type: 'ScaleRankLoss' loss_weight: 3 scale_rank_loss_param { margin: 0.2 }",
                       options, true);
}

TYPED_TEST(ScaleRankLossLayerTest, Errors) {
  for (int s = 0; s < 2; ++s) this->add_bottom({4, 3});
  this->add_bottom({4}, {0, 1, 2, 0});
  EXPECT_ERROR(this->forward("type: 'ScaleRankLoss' scale_rank_loss_param { margin: -1 }"),
               "'under_test' (ScaleRankLoss): margin must not be below 0; it is -1");
  auto layer = this->forward("type: 'ScaleRankLoss'");
  this->bottom[2]->mutable_cpu_data()[1] = 3;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "label 3 (number 1 of 4) is out of range");
  this->bottom[1]->Reshape({4, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "all scales must have probabilities of");
  this->bottom[1]->Reshape({4, 3});
  this->bottom[2]->Reshape({4, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "takes one label for each of the 4 items");
  this->bottom[2]->Reshape({4});
  this->bottom[0]->Reshape({4, 3, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "takes probabilities of N x K");
}

}  // namespace caffe
