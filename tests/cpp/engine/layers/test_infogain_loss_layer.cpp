#include "files.hpp"
#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class InfogainLossLayerTest : public LayerTest<TypeParam> {
 protected:
  void add_scores_and_labels() {
    this->add_bottom({2, 3, 2}, -2, 2);
    this->add_bottom({2, 2}, std::vector<double>{0, 2, 1, 2});
  }
  void add_gains() { this->add_bottom({1, 1, 3, 3}, 0, 1); }
};
TYPED_TEST_SUITE(InfogainLossLayerTest, DtypesAndDevices);

TYPED_TEST(InfogainLossLayerTest, IsSoftmaxWithLossForTheIdentity) {
  this->add_scores_and_labels();
  this->forward("type: 'SoftmaxWithLoss'");
  const std::vector<double> expected = this->data(*this->top[0]);
  this->add_bottom({3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  this->forward("type: 'InfogainLoss'");
  this->expect_near(this->data(*this->top[0]), expected);
}

TYPED_TEST(InfogainLossLayerTest, Values) {
  const double p = 1 / (1 + std::exp(-1.));
  this->add_bottom({2, 2}, {1, 0, 0, 1});
  this->add_bottom({2}, std::vector<double>{0, 1});
  this->add_bottom({2, 2}, {0.5, 2, 0.25, 3});
  this->add_top();
  this->add_top();
  this->forward("type: 'InfogainLoss'");
  const double first = 0.5 * std::log(p) + 2 * std::log(1 - p);
  const double second = 0.25 * std::log(1 - p) + 3 * std::log(p);
  this->expect_near(this->data(*this->top[0]), {-(first + second) / 2});
  this->expect_near(this->data(*this->top[1]), {p, 1 - p, 1 - p, p});
  this->forward("type: 'InfogainLoss' loss_param { ignore_label: 1 }");
  this->expect_near(this->data(*this->top[0]), {-first});
  this->forward("type: 'InfogainLoss' loss_param { normalization: NONE }");
  this->expect_near(this->data(*this->top[0]), {-(first + second)});
}

TYPED_TEST(InfogainLossLayerTest, ReadsTheMatrixFromAFile) {
  this->add_scores_and_labels();
  BlobProto gains;
  for (int i = 0; i < 9; ++i) gains.add_data(0.1f * static_cast<float>(i));
  for (int i = 0; i < 2; ++i) gains.mutable_shape()->add_dim(3);
  const std::string file = file_with(gains.SerializeAsString(), ".binaryproto");
  const std::string text = "type: 'InfogainLoss' infogain_loss_param { source: '" + file + "' }";
  this->forward(text);
  const std::vector<double> from_file = this->data(*this->top[0]);
  std::vector<double> values;
  for (int i = 0; i < 9; ++i) values.push_back(0.1f * static_cast<float>(i));
  this->add_bottom({3, 3}, values);
  this->forward("type: 'InfogainLoss'");
  this->expect_near(this->data(*this->top[0]), from_file);
}

TYPED_TEST(InfogainLossLayerTest, Gradient) {
  this->add_scores_and_labels();
  this->add_gains();
  this->check_gradient("type: 'InfogainLoss' loss_weight: 2", {}, true);
  this->check_gradient("type: 'InfogainLoss' loss_param { ignore_label: 2 }", {}, true);
}

TYPED_TEST(InfogainLossLayerTest, GradientAlongAnotherAxis) {
  this->add_bottom({2, 2, 3}, -2, 2);
  this->add_bottom({2, 2}, std::vector<double>{0, 2, 1, 2});
  this->add_gains();
  this->check_gradient("type: 'InfogainLoss' infogain_loss_param { axis: -1 }", {}, true);
}

TYPED_TEST(InfogainLossLayerTest, ManyClasses) {
  for (int k = 0; k < 3; ++k) this->add_bottom({1});
  this->add_top();
  this->add_top();
  for (const std::vector<int>& shape :
       {std::vector<int>{11, 40, 1}, {2, 1100, 1}, {300, 33, 1}, {3, 40, 5}, {2, 5, 900}}) {
    const int classes = shape[1], inner = shape[2];
    SCOPED_TRACE(std::to_string(classes) + " x " + std::to_string(inner));
    this->bottom[0]->Reshape(shape);
    this->bottom[1]->Reshape({shape[0], inner});
    this->bottom[2]->Reshape({classes, classes});
    this->fill_random(this->bottom[0], 1, -2, 2);
    this->fill_random(this->bottom[2], 2, 0, 1);
    auto* const label = this->bottom[1]->mutable_cpu_data();
    const int items = this->bottom[1]->count();
    for (int i = 0; i < items; ++i) label[i] = i % 4 == 1 ? -9 : (i * 7 + classes - 1) % classes;
    auto layer =
        this->forward("type: 'InfogainLoss' loss_param { ignore_label: -9 normalization: NONE }");
    this->top[0]->mutable_cpu_diff()[0] = 0.01;
    layer->Backward(this->top, {true, false, false}, this->bottom);
    double loss = 0;
    std::vector<double> expected(this->bottom[0]->count(), 0);
    for (int i = 0; i < items; ++i) {
      if (label[i] == -9) continue;
      const auto* const gain = this->bottom[2]->cpu_data() + int(label[i]) * classes;
      const int first = i / inner * classes * inner + i % inner;
      double sum = 0;
      for (int c = 0; c < classes; ++c) sum += gain[c];
      for (int c = 0; c < classes; ++c) {
        const double p = this->top[1]->cpu_data()[first + c * inner];
        loss -= gain[c] * std::log(p);
        expected[first + c * inner] = 0.01 * (p * sum - gain[c]);
      }
    }
    this->expect_near(this->data(*this->top[0]), {loss});
    this->expect_near(this->diff(*this->bottom[0]), expected, 1e-6);
  }
}

TYPED_TEST(InfogainLossLayerTest, Errors) {
  this->add_scores_and_labels();
  this->add_top();
  const auto set_up = [&](const std::string& text) {
    this->make("type: 'InfogainLoss' " + text)->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""), "'under_test' (InfogainLoss): needs the infogain matrix");
  const std::string file = file_with("no matrix", ".binaryproto");
  EXPECT_ERROR(set_up("infogain_loss_param { source: '" + file + "' }"), file);
  this->add_bottom({2, 3});
  EXPECT_ERROR(set_up(""), "the infogain matrix must be 3 x 3");
  this->bottom[2]->Reshape({3, 3});
  auto layer = this->make("type: 'InfogainLoss'");
  layer->SetUp(this->bottom, this->top);
  this->bottom[1]->mutable_cpu_data()[0] = 3;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "label 3 (number 0 of 4) is out of range");
  EXPECT_ERROR(layer->Backward(this->top, {true, false, true}, this->bottom),
               "no gradient for bottom 2, the infogain matrix");
  this->bottom[1]->Reshape({2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "takes one label for each item");
}

}  // namespace caffe
