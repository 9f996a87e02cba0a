#include "layers/layer_test.hpp"
#include "layers/sequence/ctc_reference.hpp"

namespace caffe {

/// Scores of 5 steps, 3 items and 4 classes.
template <typename TypeParam>
class WarpCTCLossLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  static constexpr int kSteps = 5, kItems = 3, kClasses = 4;

  void add_scores() { this->add_bottom({kSteps, kItems, kClasses}, -2, 2); }

  /// 0 in step 0 and where an item's steps end.
  void add_indicators(const std::vector<int>& lengths) {
    Blob<Dtype>* const blob = this->add_bottom({kSteps, kItems});
    for (int t = 0; t < kSteps; ++t) {
      for (int n = 0; n < kItems; ++n) {
        blob->mutable_cpu_data()[t * kItems + n] = t == 0 || t == lengths[n] ? 0 : 1;
      }
    }
  }

  /// Loss and gradient against the sum over all alignments.
  void expect_reference(const std::string& text, int blank, const std::vector<int>& lengths,
                        const std::vector<std::vector<int>>& labels) {
    auto layer = this->forward(text);
    this->top[0]->mutable_cpu_diff()[0] = 1;
    std::vector<bool> down(this->bottom.size(), false);
    down[0] = true;
    layer->Backward(this->top, down, this->bottom);
    double loss = 0;
    int finite = 0;
    std::vector<double> gradient(kSteps * kItems * kClasses, 0);
    for (int n = 0; n < kItems; ++n) {
      CtcReference reference = {lengths[n], kClasses, blank, true, 0, {}};
      std::vector<double> scores;
      for (int t = 0; t < lengths[n]; ++t) {
        const Dtype* const row = this->bottom[0]->cpu_data() + (t * kItems + n) * kClasses;
        scores.insert(scores.end(), row, row + kClasses);
      }
      reference.compute(scores, labels[n]);
      if (reference.probability == 0) continue;
      ++finite;
      loss -= std::log(reference.probability);
      for (int i = 0; i < lengths[n] * kClasses; ++i) {
        gradient[(i / kClasses * kItems + n) * kClasses + i % kClasses] = reference.gradient[i];
      }
    }
    this->expect_near(this->data(*this->top[0]), {loss / std::max(1, finite)});
    this->expect_near(this->diff(*this->bottom[0]), gradient);
  }
};
TYPED_TEST_SUITE(WarpCTCLossLayerTest, DtypesAndDevices);

TYPED_TEST(WarpCTCLossLayerTest, LabelsFilledUpWithTheBlank) {
  this->add_scores();
  this->add_bottom({3, 4}, {1, 2, 0, 0, 3, 0, 3, 1, 0, 0, 0, 0});
  const std::vector<std::vector<int>> labels = {{1, 2}, {3, 3, 1}, {}};
  this->expect_reference("type: 'WarpCTCLoss'", 0, {5, 5, 5}, labels);
  this->expect_reference("type: 'WarpCTCLoss' ctc_loss_param { blank_index: 0 }", 0, {5, 5, 5},
                         labels);
}

TYPED_TEST(WarpCTCLossLayerTest, BlankInTheMiddleOrLast) {
  this->add_scores();
  this->add_bottom({3, 2}, {0, 3, 2, 2, 3, -1});
  this->expect_reference("type: 'WarpCTCLoss' ctc_loss_param { blank_index: 2 }", 2, {5, 5, 5},
                         {{0, 3}, {}, {3}});
  const std::vector<std::vector<int>> last = {{0}, {2, 2}, {}};
  this->expect_reference("type: 'WarpCTCLoss' ctc_loss_param { blank_index: -1 }", 3, {5, 5, 5},
                         last);
}

TYPED_TEST(WarpCTCLossLayerTest, Indicators) {
  this->add_scores();
  this->add_indicators({5, 3, 4});
  this->add_bottom({2, 3}, {1, 0, -1, 2, -1, -1});
  this->expect_reference("type: 'WarpCTCLoss' ctc_loss_param { blank_index: 3 }", 3, {5, 3, 4},
                         {{1, 2}, {0}, {}});
  // Blank 0: label k is class k + 1.
  this->expect_reference("type: 'WarpCTCLoss'", 0, {5, 3, 4}, {{2, 3}, {1}, {}});
  std::swap(this->bottom[1], this->bottom[2]);
  this->expect_reference("type: 'WarpCTCLoss'", 0, {5, 3, 4}, {{2, 3}, {1}, {}});
}

TYPED_TEST(WarpCTCLossLayerTest, IndicatorsAndLabelsInRows) {
  this->add_scores();
  this->add_indicators({5, 3, 4});
  this->add_bottom({3, 2}, {1, 2, 0, -1, -1, -1});
  this->expect_reference("type: 'WarpCTCLoss'", 0, {5, 3, 4}, {{2, 3}, {1}, {}});
}

TYPED_TEST(WarpCTCLossLayerTest, Lengths) {
  this->add_scores();
  this->add_bottom({3}, {4, 5, 0});
  this->add_bottom({3}, {2, 1, 0});
  this->add_bottom({2, 3}, {1, 3, 2, 1, 2, 2});
  this->expect_reference("type: 'WarpCTCLoss'", 0, {4, 5, 0}, {{1, 1}, {3}, {}});
}

TYPED_TEST(WarpCTCLossLayerTest, ItemsWithoutAnAlignmentDoNotCount) {
  this->add_scores();
  this->add_bottom({3}, {2, 5, 0});
  this->add_bottom({3}, {2, 2, 1});
  this->add_bottom({2, 3}, {1, 3, 2, 1, 2, 2});
  this->expect_reference("type: 'WarpCTCLoss'", 0, {2, 5, 0}, {{1, 1}, {3, 2}, {2}});
  this->bottom[1]->mutable_cpu_data()[1] = 1;  // none has one
  this->expect_reference("type: 'WarpCTCLoss'", 0, {2, 1, 0}, {{1, 1}, {3, 2}, {2}});
}

TYPED_TEST(WarpCTCLossLayerTest, Gradient) {
  this->add_bottom({6, 1, 4}, -2, 2);
  this->add_bottom({1, 3}, {1, 2, 2});
  this->check_gradient("type: 'WarpCTCLoss' loss_weight: 3", {}, true);
}

TYPED_TEST(WarpCTCLossLayerTest, Errors) {
  this->add_scores();
  this->add_bottom({2, 4}, -1, 1);
  const auto run = [&] { this->forward("type: 'WarpCTCLoss'"); };
  EXPECT_ERROR(run(), "'under_test' (WarpCTCLoss): the labels must have a row for each of the 3");
  this->add_bottom({2, 3}, -3, -1);
  EXPECT_ERROR(run(), "the sequence indicators must be steps x items, (5, 3)");
  this->bottom[1]->Reshape({5, 3});
  this->bottom[2]->mutable_cpu_data()[0] = 3;
  EXPECT_ERROR(run(), "label 0 of item 0 is class 4; labels are 0 to 3 without the blank, 0");
  this->add_bottom({2, 3}, 1, 1);
  EXPECT_ERROR(run(), "bottoms 1 and 2 must give the lengths");
  this->bottom[1]->Reshape({3});
  this->bottom[2]->Reshape({3});
  std::fill_n(this->bottom[1]->mutable_cpu_data(), 3, 6);
  std::fill_n(this->bottom[2]->mutable_cpu_data(), 3, 3);
  EXPECT_ERROR(run(),
               "value 0 of the lengths of the scores is 6; it must be a whole number from "
               "0 to 5");
  std::fill_n(this->bottom[1]->mutable_cpu_data(), 3, 5);
  EXPECT_ERROR(run(), "value 0 of the lengths of the labels is 3");
}

}  // namespace caffe
