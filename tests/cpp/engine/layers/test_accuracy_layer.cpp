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
