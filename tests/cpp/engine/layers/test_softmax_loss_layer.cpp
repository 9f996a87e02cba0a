#include <cfloat>
#include <limits>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SoftmaxWithLossLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string layer_text(const std::string& loss_param = "", const std::string& more = "") {
    return "type: 'SoftmaxWithLoss' loss_param { " + loss_param + " } " + more;
  }
  double loss() const { return this->top[0]->cpu_data()[0]; }
  /// The sum of -log p over the items whose label is not `ignore`.
  double sum_of_losses(int classes, int inner, int ignore) const {
    const auto x = this->data(*this->bottom[0]), label = this->data(*this->bottom[1]);
    double total = 0;
    for (size_t i = 0; i < label.size(); ++i) {
      if (label[i] == ignore) continue;
      const size_t from = i / inner * classes * inner + i % inner;
      double sum = 0;
      for (int c = 0; c < classes; ++c) sum += std::exp(x[from + c * inner]);
      total += std::log(sum) - x[from + static_cast<size_t>(label[i]) * inner];
    }
    return total;
  }
  void expect_loss(double expected) {
    EXPECT_EQ(this->top[0]->num_axes(), 0);
    EXPECT_NEAR(loss(), expected, 1e-5 * std::max(1., std::abs(expected)));
  }
};
TYPED_TEST_SUITE(SoftmaxWithLossLayerTest, DtypesAndDevices);

TYPED_TEST(SoftmaxWithLossLayerTest, Normalization) {
  this->add_bottom({2, 3, 2, 2}, -3, 3);
  this->add_bottom({2, 1, 2, 2}, {0, 1, 2, 2, 1, 255, 0, 255});
  const double sum = this->sum_of_losses(3, 4, 255);
  this->forward(this->layer_text("ignore_label: 255"));
  this->expect_loss(sum / 6);
  this->forward(this->layer_text("ignore_label: 255 normalization: VALID"));
  this->expect_loss(sum / 6);
  this->forward(this->layer_text("ignore_label: 255 normalization: FULL"));
  this->expect_loss(sum / 8);
  this->forward(this->layer_text("ignore_label: 255 normalization: BATCH_SIZE"));
  this->expect_loss(sum / 2);
  this->forward(this->layer_text("ignore_label: 255 normalization: NONE"));
  this->expect_loss(sum);
  this->forward(this->layer_text("ignore_label: 255 normalization: PRE_FIXED"));
  this->expect_loss(sum);
  this->forward(
      this->layer_text("normalization: PRE_FIXED pre_fixed_normalizer: 128 "
                       "ignore_label: 255"));
  this->expect_loss(sum / 128);
  this->forward(this->layer_text("ignore_label: 255 normalize: false"));
  this->expect_loss(sum / 2);
  this->forward(this->layer_text("ignore_label: 255 normalize: true"));
  this->expect_loss(sum / 6);
  this->forward(this->layer_text("ignore_label: 255 normalize: false normalization: FULL"));
  this->expect_loss(sum / 8);
}

TYPED_TEST(SoftmaxWithLossLayerTest, AllIgnored) {
  this->add_bottom({2, 3}, -3, 3);
  this->add_bottom({2}, std::vector<double>{-1, -1});
  auto layer = this->forward(this->layer_text("ignore_label: -1"));
  this->expect_loss(0);
  layer->Backward(this->top, {true, false}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(6, 0));
}

TYPED_TEST(SoftmaxWithLossLayerTest, Axis) {
  this->add_bottom({2, 3}, -3, 3);
  this->add_bottom({2}, std::vector<double>{2, 0});
  const double sum = this->sum_of_losses(3, 1, -1);
  this->forward(this->layer_text("", "softmax_param { axis: -1 }"));
  this->expect_loss(sum / 2);
}

TYPED_TEST(SoftmaxWithLossLayerTest, LossWeight) {
  this->add_bottom({2, 3}, -3, 3);
  this->add_bottom({2}, std::vector<double>{2, 0});
  this->add_top();
  auto layer = this->make(this->layer_text("", "loss_weight: 3"));
  layer->SetUp(this->bottom, this->top);
  const double total = layer->Forward(this->bottom, this->top);
  EXPECT_NEAR(total, 3 * this->sum_of_losses(3, 1, -1) / 2, 1e-5);
  EXPECT_EQ(layer->loss(0), 3);
  EXPECT_EQ(this->make(this->layer_text())->loss(0), 0);  // until it is set up
}

TYPED_TEST(SoftmaxWithLossLayerTest, SecondTop) {
  this->add_bottom({2, 3}, -3, 3);
  this->add_bottom({2}, std::vector<double>{2, 0});
  this->add_top();
  this->add_top();
  auto layer = this->forward(this->layer_text());
  this->expect_loss(this->sum_of_losses(3, 1, -1) / 2);
  EXPECT_EQ(layer->loss(0), 1);
  EXPECT_EQ(layer->loss(1), 0);
  const auto p = this->data(*this->top[1]);
  ASSERT_EQ(this->top[1]->shape(), (std::vector<int>{2, 3}));
  EXPECT_NEAR(p[0] + p[1] + p[2], 1, 1e-6);
  EXPECT_NEAR(-std::log(p[2]) - std::log(p[3]), 2 * this->loss(), 1e-5);
}

TYPED_TEST(SoftmaxWithLossLayerTest, Gradient) {
  this->add_bottom({3, 4, 2}, -2, 2);
  this->add_bottom({3, 2}, {0, 3, 255, 1, 2, 0});
  this->check_gradient(this->layer_text("ignore_label: 255"), {}, true);
  this->check_gradient(
      this->layer_text("ignore_label: 255 normalization: NONE", "loss_weight: 0.5"), {}, true);
}

// Each value against the formula on the layer's own probabilities, exactly: contiguous classes,
// neighbouring items, so many that a GPU's thread takes an item, and an item with a NaN.
TYPED_TEST(SoftmaxWithLossLayerTest, GradientsOfManyClasses) {
  typedef typename TypeParam::Dtype Dtype;
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
    this->fill_random(this->bottom[0], classes, -3, 3);
    this->bottom[0]->mutable_cpu_data()[classes * inner - 1] =  // of the first image's last item
        std::numeric_limits<Dtype>::quiet_NaN();
    Dtype* const label = this->bottom[1]->mutable_cpu_data();
    for (int i = 0; i < items; ++i) label[i] = (i * 7 + classes - 1) % classes;
    for (int i = 1; i < items; i += 4) label[i] = 255;
    auto layer = this->forward(this->layer_text("ignore_label: 255 normalization: NONE"));
    this->top[0]->mutable_cpu_diff()[0] = Dtype(0.3);
    layer->Backward(this->top, {true, false}, this->bottom);
    const Dtype* const p = this->top[1]->cpu_data();
    const Dtype* const dx = this->bottom[0]->cpu_diff();
    int nans = 0;
    for (int at = 0; at < this->bottom[0]->count(); ++at) {
      const int i = at / inner / classes * inner + at % inner, c = at / inner % classes;
      const Dtype expected =
          label[i] == 255 ? Dtype(0) : Dtype(0.3) * (p[at] - (c == label[i] ? Dtype(1) : Dtype(0)));
      nans += std::isnan(dx[at]);
      ASSERT_TRUE(dx[at] == expected || (std::isnan(dx[at]) && std::isnan(expected)))
          << at << ": " << dx[at] << ", not " << expected;
    }
    EXPECT_EQ(nans, label[inner - 1] == 255 ? 0 : classes);
  }
}

TYPED_TEST(SoftmaxWithLossLayerTest, ImprobableAndNaN) {
  this->add_bottom({1, 2}, std::vector<double>{0, 1000});
  this->add_bottom({1}, std::vector<double>{0});
  this->forward(this->layer_text());
  this->expect_loss(-std::log(double(FLT_MIN)));
  this->bottom[0]->mutable_cpu_data()[0] = std::numeric_limits<float>::quiet_NaN();
  this->forward(this->layer_text());
  EXPECT_TRUE(std::isnan(this->loss()));
}

TYPED_TEST(SoftmaxWithLossLayerTest, Errors) {
  this->add_bottom({2, 3}, -3, 3);
  this->add_bottom({2}, std::vector<double>{2, 3});
  this->add_top();
  auto layer = this->make(this->layer_text());
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (SoftmaxWithLoss): label 3 (number 1 of 2) is out of range: there are "
               "3 classes, 0 to 2");
  this->bottom[1]->mutable_cpu_data()[1] = -1;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "label -1");
  this->bottom[1]->mutable_cpu_data()[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "label nan");
  this->bottom[1]->mutable_cpu_data()[1] = 1;
  layer->Forward(this->bottom, this->top);
  EXPECT_ERROR(layer->Backward(this->top, {true, true}, this->bottom), "bottom 1, the labels");
  EXPECT_FALSE(layer->AllowForceBackward(1));
  this->bottom[1]->Reshape({2, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "there must be 2 labels");
  this->bottom[1]->Reshape({3});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "the first axes of both bottoms");
}

}  // namespace caffe
