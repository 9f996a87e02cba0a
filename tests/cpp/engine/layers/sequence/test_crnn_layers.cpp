// The layers of CRNN's Caffe: CtcLoss, ContinuationIndicator and LabelsequenceAccuracy.

#include "layers/layer_test.hpp"
#include "layers/sequence/ctc_reference.hpp"

namespace caffe {

template <typename TypeParam>
class CtcLossLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(CtcLossLayerTest, DtypesAndDevices);

TYPED_TEST(CtcLossLayerTest, AllAlignments) {
  this->add_bottom({4, 3, 3}, -2, 2);
  for (const int blank : {0, 1, 2}) {
    const int a = blank == 0 ? 1 : 0, b = blank == 2 ? 1 : 2;
    const double z = blank;
    if (this->bottom.size() > 1) this->bottom.pop_back();
    this->add_bottom({3, 4}, {double(a), double(b), z, z, z, double(b), z, double(b), z, z, z, z});
    const std::vector<std::vector<int>> labels = {{a, b}, {b, b}, {}};
    auto layer = this->forward(
        "type: 'CtcLoss' ctc_loss_param { alphabet_size: 3 time_step: 4 "
        "blank_label: " +
        std::to_string(blank) + " }");
    this->top[0]->mutable_cpu_diff()[0] = 1;
    layer->Backward(this->top, {true, false}, this->bottom);
    double loss = 0;
    std::vector<double> gradient(36);
    for (int n = 0; n < 3; ++n) {
      CtcReference reference = {4, 3, blank, true, 0, {}};
      std::vector<double> scores;
      for (int i = 0; i < 12; ++i) {
        scores.push_back(this->bottom[0]->cpu_data()[(i / 3 * 3 + n) * 3 + i % 3]);
      }
      reference.compute(scores, labels[n]);
      loss -= std::log(reference.probability) / 3;
      for (int i = 0; i < 12; ++i) gradient[(i / 3 * 3 + n) * 3 + i % 3] = reference.gradient[i];
    }
    this->expect_near(this->data(*this->top[0]), {loss});
    this->expect_near(this->diff(*this->bottom[0]), gradient);  // of the sum
  }
}

TYPED_TEST(CtcLossLayerTest, Gradient) {
  this->add_bottom({5, 1, 3}, -2, 2);
  this->add_bottom({1, 4, 1, 1}, {2, 1, 1, 0});
  this->check_gradient("type: 'CtcLoss' ctc_loss_param { alphabet_size: 3 time_step: 5 }", {},
                       true);
}

TYPED_TEST(CtcLossLayerTest, Errors) {
  this->add_bottom({5, 2, 3}, -2, 2);
  this->add_bottom({2, 4}, 0, 0.1);
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'CtcLoss' ctc_loss_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (CtcLoss): ctc_loss_param must give the scores' steps and "
               "classes; they are");
  EXPECT_ERROR(set_up("alphabet_size: 2 time_step: 5"), "write time_step: 5 alphabet_size: 3");
  EXPECT_ERROR(set_up("alphabet_size: 3 time_step: 5 blank_label: 3"), "the blank is class 3");
  this->bottom[1]->Reshape({4, 2});
  EXPECT_ERROR(set_up("alphabet_size: 3 time_step: 5"), "a row for each of the 2 items");
}

template <typename TypeParam>
class ContinuationIndicatorLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ContinuationIndicatorLayerTest, DtypesAndDevices);

TYPED_TEST(ContinuationIndicatorLayerTest, Values) {
  const std::string text =
      "type: 'ContinuationIndicator' continuation_indicator_param { time_step: 3 batch_size: 2 }";
  auto layer = this->forward(text);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 2}));
  this->expect_near(this->data(*this->top[0]), {0, 0, 1, 1, 1, 1});
  this->add_bottom({5, 4});
  this->forward(text);
  this->expect_near(this->data(*this->top[0]), {0, 0, 1, 1, 1, 1});
  std::fill_n(this->bottom[0]->mutable_cpu_diff(), 20, 7);
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(20, 0));
  this->forward(
      "type: 'ContinuationIndicator' continuation_indicator_param { time_step: 1 batch_size: 3 }");
  this->expect_near(this->data(*this->top[0]), {0, 0, 0});
}

TYPED_TEST(ContinuationIndicatorLayerTest, Errors) {
  this->add_top();
  for (const char* param :
       {"", "time_step: 3", "batch_size: 3", "time_step: 65536 batch_size: 65536"}) {
    EXPECT_ERROR(this->make(std::string("type: 'ContinuationIndicator' "
                                        "continuation_indicator_param { ") +
                            param + " }")
                     ->SetUp(this->bottom, this->top),
                 "'under_test' (ContinuationIndicator): continuation_indicator_param must give");
  }
}

template <typename TypeParam>
class LabelsequenceAccuracyLayerTest : public LayerTest<TypeParam> {
 protected:
  /// Scores of items that read these classes, one for each step.
  void add_reading(const std::vector<std::vector<int>>& best, int classes) {
    const int items = static_cast<int>(best.size()), steps = static_cast<int>(best[0].size());
    this->add_bottom({items, steps, classes}, -1, 0);
    for (int n = 0; n < items; ++n) {
      for (int t = 0; t < steps; ++t) {
        this->bottom[0]->mutable_cpu_data()[(n * steps + t) * classes + best[n][t]] = 0.5;
      }
    }
  }
};
TYPED_TEST_SUITE(LabelsequenceAccuracyLayerTest, DtypesAndDevices);

TYPED_TEST(LabelsequenceAccuracyLayerTest, Values) {
  this->add_reading({{1, 1, 0, 1, 2}, {0, 0, 0, 0, 0}, {3, 3, 3, 0, 0}, {2, 0, 2, 0, 0}}, 4);
  this->add_bottom({4, 3}, {1, 1, 2, 0, 0, 0, 0, 3, 0, 2, 0, 0});
  auto layer = this->forward("type: 'LabelsequenceAccuracy'");
  this->expect_near(this->data(*this->top[0]), {0.75});  // not the last: it reads 2 twice
  this->bottom[1]->mutable_cpu_data()[11] = 2;
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {1});
  this->bottom[1]->mutable_cpu_data()[1] = -1;  // ends the first item's labels
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {0.75});
}

// The first of equal scores, and class 0 if its score is NaN; another NaN does not count.
TYPED_TEST(LabelsequenceAccuracyLayerTest, ManyClasses) {
  const double nan = std::nan("");
  for (const int classes : {40, 1100}) {
    this->bottom.clear();
    const int last = classes - 1;
    this->add_reading({{1, 33, last}, {0, 39, 39}, {38, 0, 2}, {5, 6, 7}}, classes);
    auto* const score = this->bottom[0]->mutable_cpu_data();
    const auto at = [&](int n, int t, int c) -> auto& { return score[(n * 3 + t) * classes + c]; };
    at(0, 0, 34) = at(0, 0, last) = at(0, 1, last) = 0.5;  // behind the first of them
    at(1, 0, last) = 0.5;
    at(2, 1, last) = 0.7;
    at(2, 1, 0) = nan;
    at(3, 1, 2) = at(3, 1, last) = nan;
    this->add_bottom({4, 3}, {1., 33., double(last), 39, 0, 0, 38, 2, 0, 5, 6, 7});
    this->forward("type: 'LabelsequenceAccuracy'");
    this->expect_near(this->data(*this->top[0]), {1});
    this->bottom[0]->mutable_cpu_data();
    at(0, 2, 0) = 0.5;  // before the best
    this->forward("type: 'LabelsequenceAccuracy'");
    this->expect_near(this->data(*this->top[0]), {0.75});
  }
}

TYPED_TEST(LabelsequenceAccuracyLayerTest, OtherBlankAndBatch) {
  this->add_reading({{1, 1, 0, 1, 2}}, 3);
  this->add_bottom({1, 4}, {0, 2, 1, 1});
  auto layer = this->forward(
      "type: 'LabelsequenceAccuracy' labelsequence_accuracy_param { blank_label: 1 }");
  this->expect_near(this->data(*this->top[0]), {1});
  this->bottom.clear();
  this->add_reading({{1, 0}, {2, 1}, {0, 2}, {0, 0}}, 3);
  this->add_bottom({4, 1, 1, 1}, {0, 2, 2, 1});
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {0.5});
}

TYPED_TEST(LabelsequenceAccuracyLayerTest, Errors) {
  this->add_reading({{1, 1}, {0, 0}}, 3);
  this->add_bottom({2, 1}, {1, 1});
  auto layer = this->forward("type: 'LabelsequenceAccuracy'");
  EXPECT_ERROR(layer->Backward(this->top, {true, false}, this->bottom),
               "'under_test' (LabelsequenceAccuracy): has no gradient");
  this->bottom[1]->mutable_cpu_data()[1] = 3;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "value 1 of the labels is 3");
  this->bottom[1]->Reshape({1, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "a row for each of the 2 items");
  this->bottom[0]->Reshape({2, 6});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "items x steps x classes");
  this->bottom[0]->Reshape({2, 2, 3});
  this->bottom[1]->Reshape({2, 1});
  EXPECT_ERROR(this->forward("type: 'LabelsequenceAccuracy' labelsequence_accuracy_param "
                             "{ blank_label: 3 }"),
               "blank_label is 3, and there are 3 classes");
}

}  // namespace caffe
