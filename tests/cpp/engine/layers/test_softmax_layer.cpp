#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SoftmaxLayerTest : public LayerTest<TypeParam> {
 protected:
  void expect_softmax(const std::string& param, int outer, int classes, int inner) {
    SCOPED_TRACE(param);
    const std::vector<double> x = this->data(*this->bottom[0]);
    this->forward("type: 'Softmax' softmax_param { engine: CAFFE " + param + " }");
    std::vector<double> y(x.size());
    for (int o = 0; o < outer; ++o) {
      for (int i = 0; i < inner; ++i) {
        double sum = 0;
        for (int c = 0; c < classes; ++c) sum += std::exp(x[(o * classes + c) * inner + i]);
        for (int c = 0; c < classes; ++c) {
          const int at = (o * classes + c) * inner + i;
          y[at] = std::exp(x[at]) / sum;
        }
      }
    }
    this->expect_near(this->data(*this->top[0]), y);
  }
};
TYPED_TEST_SUITE(SoftmaxLayerTest, DtypesAndDevices);

TYPED_TEST(SoftmaxLayerTest, Values) {
  this->add_bottom({3, 4, 5, 2}, -5, 5);
  this->expect_softmax("", 3, 4, 10);
  this->expect_softmax("axis: 0", 1, 3, 40);
  this->expect_softmax("axis: -1", 60, 2, 1);
}

TYPED_TEST(SoftmaxLayerTest, ManyClassesManyPixels) {
  this->add_bottom({2, 1000}, -5, 5);
  this->expect_softmax("", 2, 1000, 1);
  this->top.clear();
  this->bottom.clear();
  this->add_bottom({2, 3, 7, 11}, -5, 5);
  this->expect_softmax("", 2, 3, 77);
}

TYPED_TEST(SoftmaxLayerTest, InPlace) {
  this->add_bottom({3, 4}, -5, 5);
  this->top = {this->bottom[0]};
  this->expect_softmax("", 3, 4, 1);
  this->fill_random(this->bottom[0], 3);
  this->check_gradient("type: 'Softmax'");
}

TYPED_TEST(SoftmaxLayerTest, LargeScores) {
  this->add_bottom({1, 3}, {1000, 999, -1000});
  this->forward("type: 'Softmax'");
  const double p = 1 / (1 + std::exp(-1.));
  this->expect_near(this->data(*this->top[0]), {p, 1 - p, 0});
}

TYPED_TEST(SoftmaxLayerTest, Gradient) {
  this->add_bottom({2, 5, 3}, -2, 2);
  this->check_gradient("type: 'Softmax'");
  this->check_gradient("type: 'Softmax' softmax_param { axis: 2 }");
}

TYPED_TEST(SoftmaxLayerTest, Errors) {
  this->add_bottom({2, 5});
  this->add_top();
  EXPECT_ERROR(
      this->make("type: 'Softmax' softmax_param { axis: 2 }")->SetUp(this->bottom, this->top),
      "axis is 2");
}

}  // namespace caffe
