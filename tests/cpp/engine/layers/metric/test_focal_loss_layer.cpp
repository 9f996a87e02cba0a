#include <cfloat>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class FocalLossLayerTest : public LayerTest<TypeParam> {
 protected:
  /// The sum over items of -factor w^gamma log p, w = max(base + sign p, 0), without label -9.
  double reference(double factor, double base, double sign, double gamma) {
    const auto& x = *this->bottom[0];
    const int classes = x.shape(1), inner = x.count(2);
    double loss = 0;
    for (int i = 0; i < this->bottom[1]->count(); ++i) {
      const int label = static_cast<int>(this->bottom[1]->cpu_data()[i]);
      if (label == -9) continue;
      const auto score = [&](int c) {
        return double(x.cpu_data()[(i / inner * classes + c) * inner + i % inner]);
      };
      double sum = 0;
      for (int c = 0; c < classes; ++c) sum += std::exp(score(c));
      const double p = std::exp(score(label)) / sum;
      loss -= factor * std::pow(std::max(base + sign * p, 0.), gamma) *
              std::log(std::max(p, double(FLT_MIN)));
    }
    return loss;
  }
  void expect_loss(const std::string& text, double expected) {
    this->forward("type: 'FocalLoss' loss_param { ignore_label: -9 normalization: NONE } " + text);
    this->expect_near(this->data(*this->top[0]), {expected});
  }
  /// 3 items x 4 classes x 2 places; one is ignored.
  void add_scores() {
    this->add_bottom({3, 4, 2}, -2, 2);
    this->add_bottom({3, 2}, {0, 3, 2, -9, 1, 1});
  }
};
TYPED_TEST_SUITE(FocalLossLayerTest, DtypesAndDevices);

TYPED_TEST(FocalLossLayerTest, ValuesByHand) {
  this->add_bottom({2, 2}, {0, 0, std::log(3.), 0});
  this->add_bottom({2}, {0, 0});
  this->add_top();
  this->add_top();
  this->forward("type: 'FocalLoss'");
  const double loss = -0.25 * (0.25 * std::log(0.5) + 0.0625 * std::log(0.75)) / 2;
  this->expect_near(this->data(*this->top[0]), {loss});
  this->expect_near(this->data(*this->top[1]), {0.5, 0.5, 0.75, 0.25});
}

TYPED_TEST(FocalLossLayerTest, Forms) {
  this->add_scores();
  this->expect_loss("", this->reference(0.25, 1, -1, 2));
  this->expect_loss("focal_loss_param { alpha: 0.5 gamma: 1.5 }", this->reference(0.5, 1, -1, 1.5));
  this->expect_loss("focal_loss_param { alpha: 1 gamma: 0 }", this->reference(1, 1, -1, 0));
  this->expect_loss("dialect: 'focal_zimenglan'", this->reference(0.25, 1, -1, 2));
  this->expect_loss("dialect: 'happynear'", this->reference(1, 1, -1, 2));
  this->expect_loss("dialect: 'happynear' focal_loss_param { type: LINEAR alpha: 0.5 gamma: 1.5 }",
                    this->reference(1, 0.5, -1, 1.5));
  this->expect_loss("focal_loss_param { type: ONEADDP gamma: 1.5 }", this->reference(1, 1, 1, 1.5));
  this->expect_loss("dialect: 'happynear' focal_loss_param { type: ONEADDP alpha: 2 }",
                    this->reference(1, 2, 1, 2));
}

TYPED_TEST(FocalLossLayerTest, Axes) {
  this->add_scores();
  const double axis_one = this->reference(0.25, 1, -1, 2);
  this->bottom[0]->Reshape({3, 1, 4, 2});
  this->expect_loss("focal_loss_param { axis: 2 }", axis_one);
  this->expect_loss("softmax_param { axis: 2 }", axis_one);
  this->expect_loss("softmax_param { axis: 0 } focal_loss_param { axis: -2 }", axis_one);
}

TYPED_TEST(FocalLossLayerTest, NormalizationsAndBatches) {
  this->add_scores();
  const auto loss = [&](const std::string& mode) {
    this->forward("type: 'FocalLoss' loss_param { ignore_label: -9 normalization: " + mode + " }");
    return this->data(*this->top[0])[0];
  };
  const double sum = this->reference(0.25, 1, -1, 2);
  this->expect_near({loss("VALID"), loss("FULL"), loss("BATCH_SIZE")}, {sum / 5, sum / 6, sum / 3});
  auto layer = this->forward("type: 'FocalLoss' loss_param { ignore_label: -9 }");
  for (const int items : {7, 1}) {
    this->bottom[0]->Reshape({items, 4, 2});
    this->bottom[1]->Reshape({items, 2});
    this->fill_random(this->bottom[0], items);
    for (int i = 0; i < 2 * items; ++i) this->bottom[1]->mutable_cpu_data()[i] = i % 4;
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]), {this->reference(0.25, 1, -1, 2) / (2 * items)});
  }
}

TYPED_TEST(FocalLossLayerTest, Gradient) {
  this->add_scores();
  const std::string text = "type: 'FocalLoss' loss_weight: 2 loss_param { ignore_label: -9 } ";
  for (const char* param :
       {"", "focal_loss_param { gamma: 0.5 alpha: 2 }", "focal_loss_param { gamma: 0 }",
        "dialect: 'happynear'", "dialect: 'happynear' focal_loss_param { alpha: 1.5 gamma: 1.5 }",
        "focal_loss_param { type: ONEADDP alpha: 2 }"}) {
    this->check_gradient(text + param, {}, true);
  }
}

TYPED_TEST(FocalLossLayerTest, ManyClasses) {
  const int shapes[][3] = {{11, 1000, 1}, {2, 1100, 1}, {3, 40, 5}, {2, 3, 150}, {1, 3, 70000}};
  this->add_bottom({1});
  this->add_bottom({1});
  this->add_top();
  this->add_top();
  for (const auto& shape : shapes) {
    const int classes = shape[1], inner = shape[2], items = shape[0] * inner;
    SCOPED_TRACE(std::to_string(classes) + " x " + std::to_string(inner));
    this->bottom[0]->Reshape({shape[0], classes, inner});
    this->bottom[1]->Reshape({shape[0], inner});
    this->fill_random(this->bottom[0], classes, -2, 5);
    auto* const label = this->bottom[1]->mutable_cpu_data();
    for (int i = 0; i < items; ++i) label[i] = i % 4 == 1 ? -9 : (i * 7 + classes - 1) % classes;
    auto layer = this->forward(
        "type: 'FocalLoss' loss_param { ignore_label: -9 normalization: NONE } "
        "focal_loss_param { alpha: 0.5 gamma: 2 }");
    this->expect_near(this->data(*this->top[0]), {this->reference(0.5, 1, -1, 2)}, 1e-4);
    this->top[0]->mutable_cpu_diff()[0] = 3;
    layer->Backward(this->top, {true, false}, this->bottom);
    const auto* const p = this->top[1]->cpu_data();
    std::vector<double> expected(this->bottom[0]->count(), 0);
    for (size_t at = 0; at < expected.size(); ++at) {
      const size_t outer = at / inner / classes, i = outer * inner + at % inner;
      if (label[i] == -9) continue;
      const double own = p[(outer * classes + static_cast<size_t>(label[i])) * inner + at % inner];
      const double slope = (1 - own) * (1 - own) - 2 * (1 - own) * own * std::log(own);
      const bool is_label = at / inner % classes == static_cast<size_t>(label[i]);
      expected[at] = 3 * 0.5 * slope * (p[at] - (is_label ? 1 : 0));
    }
    this->expect_near(this->diff(*this->bottom[0]), expected);
  }
}

// Probabilities of 1 and 0, and below happynear's alpha: nothing is divided by 0.
TYPED_TEST(FocalLossLayerTest, CertainItems) {
  this->add_bottom({2, 2}, {200, -200, 200, -200});
  this->add_bottom({2}, {0, 1});
  for (const char* param : {"focal_loss_param { gamma: 0.5 }", "focal_loss_param { gamma: 0 }", "",
                            "dialect: 'happynear' focal_loss_param { alpha: 0.5 gamma: 0.5 }"}) {
    auto layer = this->forward(std::string("type: 'FocalLoss' ") + param);
    EXPECT_TRUE(std::isfinite(this->data(*this->top[0])[0])) << param;
    EXPECT_GT(this->data(*this->top[0])[0], 1) << param;
    this->top[0]->mutable_cpu_diff()[0] = 1;
    std::fill_n(this->bottom[1]->mutable_cpu_diff(), 2, 7);
    layer->Backward(this->top, {true, true}, this->bottom);
    for (const double value : this->diff(*this->bottom[0])) {
      EXPECT_TRUE(std::isfinite(value)) << param;
    }
    this->expect_near(this->diff(*this->bottom[1]), {0, 0});  // labels have no other gradient
  }
}

TYPED_TEST(FocalLossLayerTest, Errors) {
  this->add_scores();
  this->add_top();
  const auto set_up = [&](const std::string& text) {
    this->make("type: 'FocalLoss' " + text)->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("focal_loss_param { type: LINEAR }"),
               "'under_test' (FocalLoss): focal_loss_param's type must be ORIGIN");
  EXPECT_ERROR(set_up("dialect: 'pyrfcnpriv' focal_loss_param { type: ONEADDP }"),
               "must be ORIGIN in the dialect pyrfcnpriv");
  EXPECT_ERROR(this->forward("type: 'FocalLoss'"), "label -9 (number 3 of 6) is out of range");
  this->bottom[1]->Reshape({3});
  EXPECT_ERROR(set_up(""), "there must be 6 labels");
}

}  // namespace caffe
