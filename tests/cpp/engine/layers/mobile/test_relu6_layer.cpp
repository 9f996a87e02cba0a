#include <limits>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ReLU6LayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ReLU6LayerTest, DtypesAndDevices);

TYPED_TEST(ReLU6LayerTest, Values) {
  const double infinity = std::numeric_limits<double>::infinity();
  this->add_bottom({1, 7}, {-2, -0.0, 0.5, 5.875, 6, 100, infinity});
  this->forward("type: 'ReLU6'");
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{0, 0, 0.5, 5.875, 6, 6, 6}));
  this->forward("type: 'ReLU6' relu6_param { negative_slope: 0.125 }");
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{-0.25, 0, 0.5, 5.875, 6, 6, 6}));
  this->forward("type: 'ReLU6' relu6_param { threshold: 1 }");
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{0, 0, 0.5, 1, 1, 1, 1}));
}

TYPED_TEST(ReLU6LayerTest, NanStaysNan) {
  this->add_bottom({1, 1}, {std::nan("")});
  this->forward("type: 'ReLU6'");
  EXPECT_TRUE(std::isnan(this->top[0]->cpu_data()[0]));
}

TYPED_TEST(ReLU6LayerTest, GradientAtTheEnds) {
  typedef typename TypeParam::Dtype Dtype;
  for (const bool in_place : {false, true}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({1, 6}, {-2, 0, 1, 5.875, 6, 7});
    if (in_place) this->top = this->bottom;
    auto layer = this->forward("type: 'ReLU6' relu6_param { negative_slope: 0.125 }");
    std::fill_n(this->top[0]->mutable_cpu_diff(), 6, Dtype(8));
    layer->Backward(this->top, {true}, this->bottom);
    EXPECT_EQ(this->diff(*this->bottom[0]), (std::vector<double>{1, 1, 8, 8, 0, 0}));
  }
}

TYPED_TEST(ReLU6LayerTest, Gradient) {
  GradientOptions options;
  options.kink = 3;
  options.kink_range = 0.02;
  for (const bool in_place : {false, true}) {
    for (const char* const param : {"negative_slope: 0.125", "engine: CAFFE"}) {
      this->bottom.clear();
      this->top.clear();
      auto* const x = this->add_bottom({2, 3, 4, 5}, -9, 9);
      for (int i = 0; i < x->count(); ++i) {  // away from 0, where the other kink is
        if (std::abs(x->cpu_data()[i]) < 0.02) x->mutable_cpu_data()[i] = 1;
      }
      if (in_place) this->top = this->bottom;
      this->check_gradient(std::string("type: 'ReLU6' relu6_param { threshold: 3 ") + param + " }",
                           options);
    }
  }
}

TYPED_TEST(ReLU6LayerTest, AnotherBatch) {
  this->add_bottom({2, 3});
  auto layer = this->forward("type: 'ReLU6' relu6_param { engine: MKLDNN }");
  for (const int images : {5, 1}) {
    this->bottom[0]->Reshape({images, 3});
    std::fill_n(this->bottom[0]->mutable_cpu_data(), images * 3, 9);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->data(*this->top[0]), std::vector<double>(images * 3, 6));
  }
}

TYPED_TEST(ReLU6LayerTest, Errors) {
  this->add_bottom({2, 3});
  this->top = {this->bottom[0]};
  EXPECT_ERROR(this->make("type: 'ReLU6' relu6_param { negative_slope: -1 }")
                   ->SetUp(this->bottom, this->top),
               "'under_test' (ReLU6): negative_slope -1 in place");
  EXPECT_ERROR(
      this->make("type: 'ReLU6' relu6_param { threshold: 0 }")->SetUp(this->bottom, this->top),
      "threshold is 0");
}

}  // namespace caffe
