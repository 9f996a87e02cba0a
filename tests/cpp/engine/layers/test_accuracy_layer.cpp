#include <limits>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class AccuracyLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string layer_text(const std::string& param = "") {
    return "type: 'Accuracy' accuracy_param { " + param + " }";
  }
  void expect(const std::string& param, double all, const std::vector<double>& each = {}) {
    SCOPED_TRACE(param);
    this->top.clear();
    this->add_top();
    if (!each.empty()) this->add_top();
    this->forward(layer_text(param));
    EXPECT_EQ(this->top[0]->num_axes(), 0);
    this->expect_near(this->data(*this->top[0]), {all}, 1e-6);
    if (!each.empty()) this->expect_near(this->data(*this->top[1]), each, 1e-6);
  }
};
TYPED_TEST_SUITE(AccuracyLayerTest, DtypesAndDevices);

TYPED_TEST(AccuracyLayerTest, TopK) {
  this->add_bottom({4, 3}, {3, 2, 1, 1, 2, 3, 2, 3, 1, 1, 3, 2});
  this->add_bottom({4}, {0, 1, 1, 0});
  this->expect("", 2 / 4., {1 / 2., 1 / 2., 0});
  this->expect("top_k: 2", 3 / 4., {1 / 2., 1, 0});
  this->expect("top_k: 3", 1, {1, 1, 0});
}

TYPED_TEST(AccuracyLayerTest, TiesAreNotWon) {
  this->add_bottom({2, 3}, {1, 1, 0, 5, 5, 5});
  this->add_bottom({2}, std::vector<double>{0, 1});
  this->expect("", 0);
  this->expect("top_k: 2", 1 / 2.);
}

TYPED_TEST(AccuracyLayerTest, AxisAndIgnoredLabels) {
  // One item, two classes, 2 x 2 pixels.
  this->add_bottom({1, 2, 2, 2}, {1, 5, 1, 5, 3, 3, 3, 3});
  this->add_bottom({1, 1, 2, 2}, {1, 0, 0, -1});
  this->expect("ignore_label: -1", 2 / 3., {1 / 2., 1});
}

TYPED_TEST(AccuracyLayerTest, AllItemsIgnored) {
  this->add_bottom({1, 2}, std::vector<double>{1, 5});
  this->add_bottom({1}, std::vector<double>{7});
  this->expect("ignore_label: 7", 0, {0, 0});
}

// Against a count of the scores that are not lower, exactly: few scores, contiguous classes and
// neighbouring items, with ties, NaN and an ignored label.
TYPED_TEST(AccuracyLayerTest, ManyClasses) {
  typedef typename TypeParam::Dtype Dtype;
  this->add_bottom({1});
  this->add_bottom({1});
  for (const std::vector<int>& shape : {std::vector<int>{11, 1000, 1},
                                        {2, 1100, 1},
                                        {100, 5, 2},
                                        {9000, 3, 1},
                                        {300, 33, 1},
                                        {3, 40, 50}}) {
    const int classes = shape[1], inner = shape[2];
    this->bottom[0]->Reshape(shape);
    this->bottom[1]->Reshape({shape[0], inner});
    const int items = this->bottom[1]->count();
    this->fill_random(this->bottom[0], classes, -20, 20);
    Dtype* const score = this->bottom[0]->mutable_cpu_data();
    for (int i = 0; i < this->bottom[0]->count(); ++i) score[i] = std::round(score[i]);
    Dtype* const label = this->bottom[1]->mutable_cpu_data();
    const auto at = [&](int i, int c) -> Dtype& {
      return score[(i / inner * classes + c) * inner + i % inner];
    };
    for (int i = 0; i < items; ++i) {
      const int own = (i * 7 + classes - 1) % classes;
      label[i] = i % 5 == 4 ? 255 : own;
      at(i, own) = Dtype(20 + i % 2);  // level with others, or above all
      if (i % 7 == 3) at(i, i % classes) = std::numeric_limits<Dtype>::quiet_NaN();
    }
    for (const int top_k : {1, 2}) {
      std::vector<double> right(classes, 0), all(classes, 0);
      for (int i = 0; i < items; ++i) {
        if (label[i] == 255) continue;
        const int own = static_cast<int>(label[i]);
        int rank = 0;
        for (int c = 0; c < classes; ++c) rank += c != own && !(at(i, c) < at(i, own));
        all[own] += 1;
        right[own] += rank < top_k && !std::isnan(at(i, own));
      }
      double sum = 0, count = 0;
      for (int c = 0; c < classes; ++c) {
        sum += right[c];
        count += all[c];
        right[c] = all[c] == 0 ? 0 : right[c] / all[c];
      }
      EXPECT_TRUE(sum > 0 && sum < count) << sum;
      this->expect("ignore_label: 255 top_k: " + std::to_string(top_k), sum / count, right);
    }
  }
}

TYPED_TEST(AccuracyLayerTest, NaNIsWrong) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  this->add_bottom({4, 3}, {nan, nan, nan, nan, 1, 0, 1, nan, 0, 1, 0, 0});
  this->add_bottom({4}, {0, 0, 0, 0});
  this->expect("", 1 / 4.);
  this->expect("top_k: 2", 2 / 4.);
  this->expect("top_k: 3", 2 / 4.);
}

TYPED_TEST(AccuracyLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2}, std::vector<double>{2, 3});
  this->add_top();
  auto layer = this->make(this->layer_text());
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (Accuracy): label 3 (number 1 of 2) is out of range");
  EXPECT_ERROR(layer->Backward(this->top, {true, false}, this->bottom), "has no gradient");
  layer->Backward(this->top, {false, false}, this->bottom);
  EXPECT_ERROR(this->make(this->layer_text("top_k: 4"))->SetUp(this->bottom, this->top),
               "top_k is 4, and there are 3 classes");
  this->bottom[1]->Reshape({4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "there must be 2 labels");
  this->bottom[1]->Reshape({2});
  this->top = {this->bottom[1]};
  EXPECT_ERROR(this->make(this->layer_text())->SetUp(this->bottom, this->top), "in place");
}

}  // namespace caffe
