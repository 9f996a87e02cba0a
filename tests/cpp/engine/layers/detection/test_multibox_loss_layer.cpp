#include "layers/layer_test.hpp"

namespace caffe {

/// Four priors in the corners of the image, two images, three classes. True boxes: a box near
/// prior 0 and one near prior 3 in image 0, a box near prior 1 in image 1.
template <typename TypeParam>
class MultiBoxLossLayerTest : public LayerTest<TypeParam> {
 protected:
  static constexpr int kPriors = 4, kClasses = 3;

  void set_up_bottoms(int loc_classes = 1) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 4 * kPriors * loc_classes}, -1.8, 1.8);
    this->add_bottom({2, kPriors * kClasses}, -2, 2);
    const std::vector<double> priors = {0, 0,   0.4, 0.4, 0.5, 0,   0.9, 0.4,
                                        0, 0.5, 0.4, 0.9, 0.6, 0.6, 1,   1};
    std::vector<double> values = priors;
    for (int i = 0; i < 16; ++i) values.push_back(i % 4 < 2 ? 0.1 : 0.2);
    this->add_bottom({1, 2, 16}, values);
    this->add_bottom({1, 1, 4, 8}, {0,  1, 0, 0.05, 0.05, 0.45, 0.4, 0,  //
                                    0,  2, 0, 0.55, 0.6,  0.95, 1,   1,  //
                                    1,  2, 1, 0.5,  0.1,  0.9,  0.4, 0,  //
                                    -1, 0, 0, 0,    0,    0,    0,   0});
    this->add_top();
  }
  static std::string text(const std::string& param, const std::string& more = "") {
    return "type: 'MultiBoxLoss' propagate_down: true propagate_down: true propagate_down: false "
           "propagate_down: false multibox_loss_param { num_classes: 3 " +
           param + " } " + more;
  }
  double loss(const std::string& param, const std::string& more = "") {
    this->forward(text(param, more));
    return this->top[0]->cpu_data()[0];
  }
  double score(int image, int prior, int c) const {
    return this->bottom[1]->cpu_data()[(image * kPriors + prior) * kClasses + c];
  }
  double softmax(int image, int prior, int target) const {
    double sum = 0;
    for (int c = 0; c < kClasses; ++c) sum += std::exp(score(image, prior, c));
    return std::log(sum) - score(image, prior, target);
  }
  double logistic(int image, int prior, int target) const {
    double sum = 0;
    for (int c = 0; c < kClasses; ++c) {
      const double x = score(image, prior, c);
      sum += c == target ? std::log(1 + std::exp(-x)) : std::log(1 + std::exp(x));
    }
    return sum;
  }
  /// Of prior and true box g (a row of bottom 3) for CORNER offsets.
  double corner_loss(int image, int prior, int g, bool square = false) const {
    double sum = 0;
    for (int k = 0; k < 4; ++k) {
      const double corner = this->bottom[2]->cpu_data()[prior * 4 + k];
      const double variance = this->bottom[2]->cpu_data()[16 + prior * 4 + k];
      const double truth = this->bottom[3]->cpu_data()[8 * g + 3 + k];
      const double predicted = this->bottom[0]->cpu_data()[(image * kPriors + prior) * 4 + k];
      const double d = std::abs(predicted - (truth - corner) / variance);
      sum += square || d < 1 ? d * d / 2 : d - 0.5;
    }
    return sum;
  }
  double corners() const {
    return corner_loss(0, 0, 0) + corner_loss(0, 3, 1) + corner_loss(1, 1, 2);
  }
  double positives() const { return softmax(0, 0, 1) + softmax(0, 3, 2) + softmax(1, 1, 2); }
};
TYPED_TEST_SUITE(MultiBoxLossLayerTest, DtypesAndDevices);

TYPED_TEST(MultiBoxLossLayerTest, WithoutMiningEveryBoxCounts) {
  this->set_up_bottoms();
  double all = this->positives();
  for (const int p : {1, 2}) all += this->softmax(0, p, 0);
  for (const int p : {0, 2, 3}) all += this->softmax(1, p, 0);
  EXPECT_NEAR(this->loss("mining_type: NONE"), (this->corners() + all) / 3, 1e-5);
  EXPECT_NEAR(this->loss("mining_type: NONE loc_weight: 2.5"), (2.5 * this->corners() + all) / 3,
              1e-5);
  EXPECT_NEAR(this->loss("do_neg_mining: false"), (this->corners() + all) / 3, 1e-5);
  const double squares = this->corner_loss(0, 0, 0, true) + this->corner_loss(0, 3, 1, true) +
                         this->corner_loss(1, 1, 2, true);
  EXPECT_NEAR(this->loss("mining_type: NONE loc_loss_type: L2"), (squares + all) / 3, 1e-4);
}

TYPED_TEST(MultiBoxLossLayerTest, Normalizers) {
  this->set_up_bottoms();
  const double sum = 3 * this->loss("mining_type: NONE");
  const auto normalized = [&](const std::string& param) {
    return this->loss("mining_type: NONE", "loss_param { " + param + " }");
  };
  EXPECT_NEAR(normalized("normalization: FULL"), sum / 8, 1e-5);
  EXPECT_NEAR(normalized("normalization: BATCH_SIZE"), sum / 2, 1e-5);
  EXPECT_NEAR(normalized("normalization: NONE"), sum, 1e-4);
  EXPECT_NEAR(normalized("normalization: VALID"), sum / 3, 1e-5);
  EXPECT_NEAR(normalized("normalize: false"), sum / 2, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, MinesTheWorstNegatives) {
  this->set_up_bottoms();
  const double worst = std::max(this->softmax(0, 1, 0), this->softmax(0, 2, 0));
  double other = 0;
  for (const int p : {0, 2, 3}) other = std::max(other, this->softmax(1, p, 0));
  // Half as many as positives: one in image 0, int(0.5) in image 1.
  const double base = this->corners() + this->positives();
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0.5"), (base + worst) / 3, 1e-5);
  const double more = this->softmax(0, 1, 0) + this->softmax(0, 2, 0) + other;
  EXPECT_NEAR(this->loss("neg_pos_ratio: 1"), (base + more) / 3, 1e-5);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0"), base / 3, 1e-5);
  EXPECT_EQ(this->loss("neg_pos_ratio: inf"), this->loss("neg_pos_ratio: 9"));
  EXPECT_NEAR(this->loss("neg_overlap: 0"), base / 3, 1e-5);  // no box has less
}

TYPED_TEST(MultiBoxLossLayerTest, LogisticLoss) {
  this->set_up_bottoms();
  double all = this->logistic(0, 0, 1) + this->logistic(0, 3, 2) + this->logistic(1, 1, 2);
  for (const int p : {1, 2}) all += this->logistic(0, p, 0);
  for (const int p : {0, 2, 3}) all += this->logistic(1, p, 0);
  EXPECT_NEAR(this->loss("mining_type: NONE conf_loss_type: LOGISTIC"), (this->corners() + all) / 3,
              1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, HardExamples) {
  this->set_up_bottoms();
  // With as many samples as boxes, all take part.
  EXPECT_NEAR(this->loss("mining_type: HARD_EXAMPLE"), this->loss("mining_type: NONE"), 1e-5);
  // One sample: the box with the greatest loss of its image; the other positives count no more.
  const double losses0[] = {this->softmax(0, 0, 1) + this->corner_loss(0, 0, 0),
                            this->softmax(0, 1, 0), this->softmax(0, 2, 0),
                            this->softmax(0, 3, 2) + this->corner_loss(0, 3, 1)};
  const double losses1[] = {this->softmax(1, 0, 0),
                            this->softmax(1, 1, 2) + this->corner_loss(1, 1, 2),
                            this->softmax(1, 2, 0), this->softmax(1, 3, 0)};
  const auto worst0 = std::max_element(losses0, losses0 + 4);
  const auto worst1 = std::max_element(losses1, losses1 + 4);
  const bool matched0 = worst0 == losses0 || worst0 == losses0 + 3;
  const int matched = static_cast<int>(matched0) + static_cast<int>(worst1 == losses1 + 1);
  EXPECT_NEAR(this->loss("mining_type: HARD_EXAMPLE sample_size: 1"),
              (*worst0 + *worst1) / std::max(1, matched), 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, DifficultObjectsMayBeLeftOut) {
  this->set_up_bottoms();
  double sum = this->corner_loss(0, 0, 0) + this->corner_loss(1, 1, 2);
  sum += this->softmax(0, 0, 1) + this->softmax(1, 1, 2);
  for (const int p : {1, 2, 3}) sum += this->softmax(0, p, 0);
  for (const int p : {0, 2, 3}) sum += this->softmax(1, p, 0);
  EXPECT_NEAR(this->loss("mining_type: NONE use_difficult_gt: false"), sum / 2, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, AnImageWithoutObjectsHasNoNegatives) {
  this->set_up_bottoms();
  this->bottom[3]->mutable_cpu_data()[16] = -1;  // the only box of image 1
  const double base = this->corner_loss(0, 0, 0) + this->corner_loss(0, 3, 1) +
                      this->softmax(0, 0, 1) + this->softmax(0, 3, 2) + this->softmax(0, 1, 0) +
                      this->softmax(0, 2, 0);
  EXPECT_NEAR(this->loss(""), base / 2, 1e-5);
  EXPECT_NEAR(this->loss("mining_type: HARD_EXAMPLE"), base / 2, 1e-5);
  for (int g = 0; g < 2; ++g) this->bottom[3]->mutable_cpu_data()[8 * g] = -1;
  EXPECT_EQ(this->loss(""), 0);
}

TYPED_TEST(MultiBoxLossLayerTest, ObjectsWithoutClasses) {
  this->set_up_bottoms();
  const double sum =
      this->corners() + this->softmax(0, 0, 1) + this->softmax(0, 3, 1) + this->softmax(1, 1, 1);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 map_object_to_agnostic: true"), sum / 3, 1e-5);
  this->bottom[3]->mutable_cpu_data()[1] = 17;
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 map_object_to_agnostic: true"), sum / 3, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, PropagateDownChoosesTheLosses) {
  this->set_up_bottoms();
  const auto of = [&](const std::string& loc, const std::string& conf) {
    this->forward("type: 'MultiBoxLoss' propagate_down: [" + loc + ", " + conf +
                  ", false, false] multibox_loss_param { num_classes: 3 neg_pos_ratio: 0 }");
    return double(this->top[0]->cpu_data()[0]);
  };
  EXPECT_NEAR(of("true", "false"), this->corners() / 3, 1e-5);
  EXPECT_NEAR(of("false", "true"), this->positives() / 3, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, PriorsAreConstants) {
  this->set_up_bottoms();
  auto layer = this->forward("type: 'MultiBoxLoss' multibox_loss_param { num_classes: 3 }");
  std::fill_n(this->bottom[2]->mutable_cpu_diff(), this->bottom[2]->count(), 7);
  layer->Backward(this->top, {true, true, true, false}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[2]), std::vector<double>(32, 0));
  EXPECT_FALSE(layer->AllowForceBackward(2));
}

TYPED_TEST(MultiBoxLossLayerTest, SuppressesCandidates) {
  this->set_up_bottoms();
  // The negatives of image 0 are priors 1 and 2, those of image 1 are 0, 2 and 3; none overlap.
  const double all = this->loss("neg_pos_ratio: 9");
  EXPECT_NEAR(this->loss("neg_pos_ratio: 9 use_prior_for_nms: true nms_param { }"), all, 1e-5);
  const double one = this->loss("neg_pos_ratio: 9 use_prior_for_nms: true nms_param { top_k: 1 }");
  const double worst0 = std::max(this->softmax(0, 1, 0), this->softmax(0, 2, 0));
  double worst1 = 0;
  for (const int p : {0, 2, 3}) worst1 = std::max(worst1, this->softmax(1, p, 0));
  EXPECT_NEAR(one, (this->corners() + this->positives() + worst0 + worst1) / 3, 1e-5);
  // The predicted boxes of priors 1 and 2 of image 0 become one and the same: the worse stays.
  for (int k = 0; k < 4; ++k) {
    const double shift = (k == 0 || k == 2 ? 0.5 : -0.5) / (k < 2 ? 0.1 : 0.2);
    auto* const loc = this->bottom[0]->mutable_cpu_data();
    loc[4 + k] = 0;
    loc[8 + k] = shift;
    for (const int p : {0, 2, 3}) loc[16 + 4 * p + k] = 0;
  }
  double sum = this->corners() + this->positives() + worst0;
  for (const int p : {0, 2, 3}) sum += this->softmax(1, p, 0);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 9 nms_param { }"), sum / 3, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, ACrossingPriorIsIgnored) {
  this->set_up_bottoms();
  this->bottom[2]->mutable_cpu_data()[0] = -0.01;  // prior 0
  const double sum = this->corner_loss(0, 3, 1) + this->corner_loss(1, 1, 2) +
                     this->softmax(0, 3, 2) + this->softmax(1, 1, 2);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 ignore_cross_boundary_bbox: true"), sum / 2, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, CoordinatesOffTheImageHaveNoLoss) {
  this->set_up_bottoms();
  const double base = this->loss("neg_pos_ratio: 0 bp_inside: true");
  EXPECT_NEAR(base, (this->corners() + this->positives()) / 3, 1e-5);  // all lie inside
  const double before = this->corner_loss(0, 0, 0);
  this->bottom[2]->mutable_cpu_data()[0] = -0.01;
  const double d = std::abs(this->bottom[0]->cpu_data()[0] - 0.6);  // (0.05 + 0.01) / 0.1
  const double others = this->corner_loss(0, 0, 0) - (d < 1 ? d * d / 2 : d - 0.5);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 bp_inside: true"), base + (others - before) / 3, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, Gradients) {
  GradientOptions options;
  options.bottoms = {0, 1};
  const std::vector<std::string> variants = {
      "mining_type: NONE",
      "loc_weight: 2 neg_pos_ratio: 1",
      "mining_type: HARD_EXAMPLE",
      "code_type: CENTER_SIZE conf_loss_type: LOGISTIC",
      "code_type: CORNER_SIZE loc_loss_type: L2",
      "mining_type: NONE conf_loss_type: LOGISTIC map_object_to_agnostic: true",
      "code_type: CENTER_SIZE bp_inside: true ignore_cross_boundary_bbox: true",
      "neg_pos_ratio: 9 nms_param { } use_prior_for_nms: true"};
  for (const std::string& variant : variants) {
    this->set_up_bottoms();
    SCOPED_TRACE(variant);
    this->check_gradient(this->text(variant), options, true);
    if (this->HasFatalFailure()) return;
    this->top.clear();
    this->check_gradient(this->text(variant, "loss_weight: 3 loss_param { normalization: FULL }"),
                         options, true);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(MultiBoxLossLayerTest, GradientWithVariancesInTheTarget) {
  this->set_up_bottoms();
  GradientOptions options;
  options.bottoms = {0, 1};
  if (sizeof(typename TypeParam::Dtype) == 4) options.step = 2e-3;  // d is 5 to 10 times the offset
  this->check_gradient(this->text("code_type: CENTER_SIZE encode_variance_in_target: true"),
                       options, true);
}

TYPED_TEST(MultiBoxLossLayerTest, GradientOfOffsetsOfEachClass) {
  this->set_up_bottoms(3);
  GradientOptions options;
  options.bottoms = {0, 1};
  this->check_gradient(this->text("mining_type: NONE share_location: false"), options, true);
}

TYPED_TEST(MultiBoxLossLayerTest, OffsetsOfEachClass) {
  this->set_up_bottoms(3);
  // Each matched prior's loss comes from the offsets of its object's class.
  std::vector<typename TypeParam::Dtype> own;
  for (int n = 0; n < 2; ++n) {
    for (int p = 0; p < 4; ++p) {
      const int label = n == 0 ? (p == 0 ? 1 : 2) : 2;
      for (int k = 0; k < 4; ++k) {
        own.push_back(this->bottom[0]->cpu_data()[((n * 4 + p) * 3 + label) * 4 + k]);
      }
    }
  }
  const double found = this->loss("mining_type: NONE share_location: false");
  this->set_up_bottoms();
  std::copy(own.begin(), own.end(), this->bottom[0]->mutable_cpu_data());
  EXPECT_NEAR(found, this->loss("mining_type: NONE"), 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, MatchesPredictedBoxes) {
  this->set_up_bottoms();
  std::fill_n(this->bottom[0]->mutable_cpu_data(), this->bottom[0]->count(), 0);
  const double priors = this->loss("neg_pos_ratio: 0");
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 use_prior_for_matching: false"), priors, 1e-5);
  // Prior 2 of image 1 predicts the object: it is matched, and prior 1 by its overlap.
  auto* const loc = this->bottom[0]->mutable_cpu_data() + 16 + 8;
  const double target[4] = {5, -4, 2.5, -2.5};  // (0.5, 0.1, 0.9, 0.4) from (0, 0.5, 0.4, 0.9)
  std::copy(target, target + 4, loc);
  const double sum = this->corners() + this->positives() + this->softmax(1, 2, 2);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 use_prior_for_matching: false"), sum / 4, 1e-5);
  const double bipartite = sum - this->corner_loss(1, 1, 2) - this->softmax(1, 1, 2);
  EXPECT_NEAR(this->loss("neg_pos_ratio: 0 use_prior_for_matching: false match_type: BIPARTITE"),
              bipartite / 3, 1e-5);
}

TYPED_TEST(MultiBoxLossLayerTest, Reshapes) {
  this->set_up_bottoms();
  auto layer = this->forward(this->text("mining_type: NONE"));
  for (const int items : {5, 2}) {
    this->bottom[0]->Reshape({items, 16});
    this->bottom[1]->Reshape({items, 12});
    this->fill_random(this->bottom[0], 1);
    this->fill_random(this->bottom[1], 2);
    layer->Reshape(this->bottom, this->top);
    layer->Forward(this->bottom, this->top);
    double sum = this->corners() + this->positives();
    for (int n = 0; n < items; ++n) {
      for (int p = 0; p < 4; ++p) {
        const bool matched = (n == 0 && (p == 0 || p == 3)) || (n == 1 && p == 1);
        if (!matched) sum += this->softmax(n, p, 0);
      }
    }
    EXPECT_NEAR(this->top[0]->cpu_data()[0], sum / 3, 1e-5);
    this->top[0]->mutable_cpu_diff()[0] = 1;
    layer->Backward(this->top, {true, true, false, false}, this->bottom);
  }
}

TYPED_TEST(MultiBoxLossLayerTest, ErrorsOfTheParameters) {
  this->set_up_bottoms();
  EXPECT_ERROR(this->make("type: 'MultiBoxLoss'")->SetUp(this->bottom, this->top),
               "'under_test' (MultiBoxLoss): multibox_loss_param needs num_classes");
  EXPECT_ERROR(
      this->forward("type: 'MultiBoxLoss' multibox_loss_param { num_classes: 4000000000 }"),
      "included; it is 4000000000");
  EXPECT_ERROR(
      this->forward("type: 'MultiBoxLoss' multibox_loss_param { num_classes: 2147483647 }"),
      "4 priors x 2147483647 classes");
  EXPECT_ERROR(this->loss("background_label_id: 3"), "background_label_id is 3");
  EXPECT_ERROR(this->loss("background_label_id: 2 map_object_to_agnostic: true"), "a class behind");
  EXPECT_ERROR(this->loss("do_neg_mining: true mining_type: NONE"), "remove do_neg_mining");
  EXPECT_ERROR(this->loss("share_location: false"), "only with mining_type: NONE");
  EXPECT_ERROR(this->loss("neg_pos_ratio: nan"), "neg_pos_ratio is nan");
  EXPECT_ERROR(this->loss("neg_pos_ratio: -1"), "neg_pos_ratio is -1");
  EXPECT_ERROR(this->loss("mining_type: HARD_EXAMPLE sample_size: 0"), "sample_size is 0");
  EXPECT_ERROR(this->loss("ignore_difficult_gt: true"), "ignore_difficult_gt is not built");
}

TYPED_TEST(MultiBoxLossLayerTest, ErrorsOfTheBottoms) {
  this->set_up_bottoms();
  auto layer = this->forward(
      "type: 'MultiBoxLoss' propagate_down: [true, true, true, false] "
      "multibox_loss_param { num_classes: 3 }");
  EXPECT_ERROR(layer->Backward(this->top, {true, true, true, false}, this->bottom),
               "no gradient for bottom 2, the priors: set propagate_down: false");
  auto* const truth = this->bottom[3]->mutable_cpu_data();
  truth[0] = 2;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "true box 0 is of item 2, and the batch");
  truth[0] = 0;
  truth[9] = 3;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "has the label 3, and there are 3 classes");
  truth[9] = 0;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "true box 1 has the label 0, which is back");
  truth[9] = 1.5;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "labels are whole numbers");
  this->bottom[3]->Reshape({1, 1, 8, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "rows of 8 numbers");
  EXPECT_ERROR(this->loss("share_location: false mining_type: NONE"), "must be 4 priors x 3 x 4");
  EXPECT_ERROR(this->forward("type: 'MultiBoxLoss' multibox_loss_param { num_classes: 4 }"),
               "must be 4 priors x 4 classes");
  this->bottom[2]->Reshape({1, 2, 0});
  EXPECT_ERROR(this->loss(""), "the priors, bottom 2, are PriorBox's");
  this->bottom[2]->Reshape({1, 1, 32});
  EXPECT_ERROR(this->loss(""), "the priors, bottom 2, are PriorBox's");
}

}  // namespace caffe
