#include "layers/layer_test.hpp"
#include "layers/sequence/ctc_reference.hpp"

namespace caffe {

template <typename TypeParam>
class CTCLossLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  /// Bottoms of `steps` steps for items of these lengths with these labels, in `rows` rows.
  void add_items(int steps, int classes, const std::vector<int>& lengths,
                 const std::vector<std::vector<int>>& labels, int rows) {
    const int items = static_cast<int>(lengths.size());
    this->add_bottom({steps, items, classes}, -2, 2);
    Blob<Dtype>* const indicators = this->add_bottom({steps, items});
    Blob<Dtype>* const text = this->add_bottom({rows, items});
    for (int n = 0; n < items; ++n) {
      for (int t = 0; t < steps; ++t) {
        indicators->mutable_cpu_data()[t * items + n] = t == 0 || t == lengths[n] ? 0 : 1;
      }
      for (int i = 0; i < rows; ++i) {
        text->mutable_cpu_data()[i * items + n] =
            i < static_cast<int>(labels[n].size()) ? labels[n][i] : -1;
      }
    }
  }

  /// Loss and gradient against the sum over all alignments, for items of these lengths and labels.
  /// An item's steps before `begin` have no part.
  void expect_reference(const std::string& param, int blank, const std::vector<int>& lengths,
                        const std::vector<std::vector<int>>& labels, bool merge = true,
                        int begin = 0) {
    auto layer = this->forward("type: 'CTCLoss' ctc_loss_param { " + param + " }");
    this->top[0]->mutable_cpu_diff()[0] = 0.5;
    layer->Backward(this->top, {true, false, false}, this->bottom);
    const Blob<Dtype>& x = *this->bottom[0];
    const int items = x.shape(1), classes = x.shape(2);
    double loss = 0;
    std::vector<double> gradient(x.count(), 0);
    for (int n = 0; n < items; ++n) {
      CtcReference reference = {std::max(lengths[n] - begin, 0), classes, blank, merge, 0, {}};
      std::vector<double> scores;
      for (int t = begin; t < lengths[n]; ++t) {
        const Dtype* const row = x.cpu_data() + (t * items + n) * classes;
        scores.insert(scores.end(), row, row + classes);
      }
      reference.compute(scores, labels[n]);
      if (reference.probability > 0) loss -= std::log(reference.probability) / items;
      for (int t = begin; t < lengths[n]; ++t) {
        for (int c = 0; c < classes; ++c) {
          gradient[(t * items + n) * classes + c] =
              0.5 * reference.gradient[(t - begin) * classes + c];
        }
      }
    }
    this->expect_near(this->data(*this->top[0]), {loss});
    this->expect_near(this->diff(*this->bottom[0]), gradient);
  }
};
TYPED_TEST_SUITE(CTCLossLayerTest, DtypesAndDevices);

// Two steps, classes a and blank, all scores 0: of the alignments, aa, a- and -a say "a", -- says
// nothing.
TYPED_TEST(CTCLossLayerTest, ValuesByHand) {
  this->add_items(2, 2, {2, 2}, {{0}, {}}, 1);
  std::fill_n(this->bottom[0]->mutable_cpu_data(), 8, 0);
  auto layer = this->forward("type: 'CTCLoss'");
  this->expect_near(this->data(*this->top[0]), {-(std::log(0.75) + std::log(0.25)) / 2});
  this->top[0]->mutable_cpu_diff()[0] = 1;
  layer->Backward(this->top, {true, false, false}, this->bottom);
  const double a = 0.5 - 2. / 3;
  this->expect_near(this->diff(*this->bottom[0]), {a, -a, 0.5, -0.5, a, -a, 0.5, -0.5});
}

// All alignments of up to five steps: labels without and with repeats, none, as many as steps.
TYPED_TEST(CTCLossLayerTest, AllAlignments) {
  const std::vector<int> lengths = {5, 5, 4, 3, 1, 5, 2};
  const std::vector<std::vector<int>> labels = {{1, 2}, {1, 1, 2}, {}, {2, 1, 2}, {1}, {2}, {}};
  this->add_items(5, 4, lengths, labels, 5);
  this->expect_reference("blank_index: 0", 0, lengths, labels);
  this->expect_reference("blank_index: 3", 3, lengths, labels);
  this->expect_reference("", 3, lengths, labels);  // the last class
  this->expect_reference("loss_calculation_t: 2", 3, lengths, labels);
}

// Rows of scores for a warp and for a block of a GPU.
TYPED_TEST(CTCLossLayerTest, ManyClasses) {
  const std::vector<std::vector<int>> labels = {{38, 0}, {7}, {5, 5}, {1, 2}, {}};
  this->add_items(3, 40, {3, 2, 3, 1, 3}, labels, 2);
  this->expect_reference("blank_index: 39", 39, {3, 2, 3, 1, 3}, labels);
  this->bottom.clear();
  this->add_items(1, 1100, {1, 1, 1}, {{1099}, {}, {300}}, 1);
  this->expect_reference("blank_index: 0", 0, {1, 1, 1}, {{1099}, {}, {300}});
}

TYPED_TEST(CTCLossLayerTest, BlankBetweenTheLabels) {
  const std::vector<int> lengths = {4, 5};
  const std::vector<std::vector<int>> labels = {{2, 0, 2}, {0, 0}};
  this->add_items(5, 3, lengths, labels, 3);
  this->expect_reference("blank_index: 1", 1, lengths, labels);
}

TYPED_TEST(CTCLossLayerTest, WithoutMerging) {
  const std::vector<int> lengths = {5, 3, 4, 5};
  const std::vector<std::vector<int>> labels = {{1, 1, 2}, {1, 1, 1}, {2}, {}};
  this->add_items(5, 3, lengths, labels, 3);
  this->expect_reference("blank_index: 0 ctc_merge_repeated: false", 0, lengths, labels, false);
}

TYPED_TEST(CTCLossLayerTest, CollapsedLabels) {
  const std::vector<int> lengths = {5, 3};
  this->add_items(5, 3, lengths, {{1, 1, 2, 2, 1}, {2, 2}}, 5);
  this->expect_reference("blank_index: 0 preprocess_collapse_repeated: true", 0, lengths,
                         {{1, 2, 1}, {2}});
}

TYPED_TEST(CTCLossLayerTest, DelayedOutput) {
  const std::vector<int> lengths = {5, 3, 2};
  const std::vector<std::vector<int>> labels = {{1, 2}, {2}, {}};
  this->add_items(5, 3, lengths, labels, 2);
  this->expect_reference("blank_index: 0 output_delay: 2", 0, lengths, labels, true, 2);
}

// More labels than steps, or repeats without a step for the blank between them.
TYPED_TEST(CTCLossLayerTest, ItemsWithoutAnAlignmentAreLeftOut) {
  const std::vector<int> lengths = {2, 3, 5, 2};
  const std::vector<std::vector<int>> labels = {{1, 2, 1}, {1, 1, 2}, {1, 2}, {2, 2}};
  this->add_items(5, 3, lengths, labels, 5);
  this->expect_reference("blank_index: 0", 0, lengths, labels);
}

TYPED_TEST(CTCLossLayerTest, OtherBatches) {
  this->add_items(3, 3, {3, 2}, {{1}, {2}}, 2);
  auto layer = this->forward("type: 'CTCLoss' ctc_loss_param { blank_index: 0 }");
  const double one = this->data(*this->top[0])[0];
  for (const int items : {5, 1, 2}) {
    this->bottom.clear();
    this->add_items(4, 3, std::vector<int>(items, 4), std::vector<std::vector<int>>(items, {1, 1}),
                    2);
    layer->Forward(this->bottom, this->top);
    layer->Backward(this->top, {true, false, false}, this->bottom);
    this->expect_reference("blank_index: 0", 0, std::vector<int>(items, 4),
                           std::vector<std::vector<int>>(items, {1, 1}));
  }
  EXPECT_GT(one, 0);
}

// With one item the gradient of the sum is that of the mean.
TYPED_TEST(CTCLossLayerTest, Gradient) {
  this->add_items(6, 4, {6}, {{1, 2, 2}}, 3);
  this->check_gradient("type: 'CTCLoss' loss_weight: 2", {}, true);
  this->check_gradient("type: 'CTCLoss' ctc_loss_param { blank_index: 0 output_delay: 1 }", {},
                       true);
  this->check_gradient("type: 'CTCLoss' ctc_loss_param { ctc_merge_repeated: false }", {}, true);
}

// The probability of one alignment is far below the smallest double, scores are far apart.
TYPED_TEST(CTCLossLayerTest, LongSequencesAndLargeScores) {
  std::vector<int> labels;
  for (int i = 0; i < 150; ++i) labels.push_back(i % 3);
  this->add_items(600, 30, {600, 599}, {labels, {}}, 150);
  for (int i = 0; i < this->bottom[0]->count(); i += 7) {
    this->bottom[0]->mutable_cpu_data()[i] = 200;
  }
  auto layer = this->forward("type: 'CTCLoss'");
  const double loss = this->data(*this->top[0])[0];
  EXPECT_TRUE(std::isfinite(loss) && loss > 1000) << loss;
  this->top[0]->mutable_cpu_diff()[0] = 1;
  layer->Backward(this->top, {true, false, false}, this->bottom);
  const std::vector<double> gradient = this->diff(*this->bottom[0]);
  for (size_t row = 0; row < 2 * 600; ++row) {
    double sum = 0, most = 0;
    for (size_t c = row * 30; c < row * 30 + 30; ++c) {
      sum += gradient[c];
      most = std::max(most, std::abs(gradient[c]));
    }
    ASSERT_NEAR(sum, 0, 1e-5);  // softmax and alignments both add up to 1
    ASSERT_LE(most, 1 + 1e-5);
  }
}

TYPED_TEST(CTCLossLayerTest, DialectsWithBlankZero) {
  this->add_items(3, 3, {3}, {{1}}, 1);
  const auto loss = [&](const std::string& text) {
    this->forward("type: 'CTCLoss' " + text);
    return this->data(*this->top[0])[0];
  };
  const double zero = loss("ctc_loss_param { blank_index: 0 }");
  const double last = loss("ctc_loss_param { blank_index: -1 }");
  EXPECT_GT(std::abs(zero - last), 1e-3);
  EXPECT_EQ(loss("dialect: 'caffe_ocr'"), zero);
  EXPECT_EQ(loss("dialect: 'license_plate' ctc_loss_param { output_delay: 0 }"), zero);
  EXPECT_EQ(loss("dialect: 'caffe_ocr' ctc_loss_param { blank_index: 2 }"), last);
  EXPECT_EQ(loss("dialect: 'textboxes'"), last);
}

TYPED_TEST(CTCLossLayerTest, LabelsHaveTheGradientZero) {
  this->add_items(3, 3, {3}, {{1, 0}}, 2);
  auto layer = this->forward("type: 'CTCLoss'");
  this->top[0]->mutable_cpu_diff()[0] = 1;
  std::vector<double> zero(this->bottom[2]->count(), 0);
  std::fill_n(this->bottom[2]->mutable_cpu_diff(), zero.size(), 7);
  layer->Backward(this->top, {true, false, true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[2]), zero);
  EXPECT_NE(this->diff(*this->bottom[0])[0], 0);
}

TYPED_TEST(CTCLossLayerTest, Errors) {
  this->add_items(3, 3, {3}, {{1, 0}}, 2);
  this->add_top();
  const auto run = [&](const std::string& param) {
    this->forward("type: 'CTCLoss' ctc_loss_param { " + param + " }");
  };
  EXPECT_ERROR(run("blank_index: 3"), "'under_test' (CTCLoss): the blank is class 3, and there");
  EXPECT_ERROR(run("blank_index: -2"), "the blank is class -2");
  EXPECT_ERROR(run("output_delay: -1"), "output_delay is -1");
  EXPECT_ERROR(run("blank_index: 0"), "label 1 of item 0 is class 0; labels are 0 to 2 without");
  this->bottom[2]->mutable_cpu_data()[0] = 3;
  EXPECT_ERROR(run(""), "value 0 of the labels is 3; it must be a whole number from 0 to 2");
  this->bottom[2]->mutable_cpu_data()[0] = 0.5;
  EXPECT_ERROR(run(""), "value 0 of the labels is 0.5");
  this->bottom[2]->mutable_cpu_data()[0] = 1;
  this->bottom[1]->Reshape({1, 3});
  EXPECT_ERROR(run(""), "the sequence indicators must be steps x items, (3, 1)");
  this->bottom[1]->Reshape({3, 1});
  this->bottom[2]->Reshape({2, 2});
  EXPECT_ERROR(run(""), "the labels must have a column for each of the 1 items");
  this->bottom[0]->Reshape({3, 3});
  EXPECT_ERROR(run(""), "takes scores of steps x items x classes, and bottom 0 is");
}

}  // namespace caffe
