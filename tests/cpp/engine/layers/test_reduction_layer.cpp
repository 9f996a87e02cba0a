#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ReductionLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ReductionLayerTest, DtypesAndDevices);

namespace {

std::string reduction(const std::string& operation, const std::string& more = "") {
  return "type: 'Reduction' reduction_param { operation: " + operation + " " + more + " }";
}

const char* const kOperations[] = {"SUM", "ASUM", "SUMSQ", "MEAN"};

}  // namespace

TYPED_TEST(ReductionLayerTest, Values) {
  this->add_bottom({2, 3, 4});
  const std::vector<double> x = this->data(*this->bottom[0]);
  for (const int axis : {0, 1, 2, -1}) {
    const int first = axis < 0 ? axis + 3 : axis;
    const int rows = this->bottom[0]->count(0, first), length = 24 / rows;
    for (const std::string operation : kOperations) {
      std::vector<double> expected(rows, 0);
      for (int i = 0; i < 24; ++i) {
        expected[i / length] += operation == "SUMSQ"  ? 0.5 * x[i] * x[i]
                                : operation == "ASUM" ? 0.5 * std::abs(x[i])
                                : operation == "MEAN" ? 0.5 * x[i] / length
                                                      : 0.5 * x[i];
      }
      this->forward(reduction(operation, "coeff: 0.5 axis: " + std::to_string(axis)));
      EXPECT_EQ(this->top[0]->num_axes(), first);
      this->expect_near(this->data(*this->top[0]), expected);
    }
  }
}

TYPED_TEST(ReductionLayerTest, Gradient) {
  GradientOptions options;
  options.kink_range = 0.02;
  this->add_bottom({2, 3, 20});
  for (const std::string operation : kOperations) {
    for (const char* more : {"axis: 0", "axis: 1 coeff: -2", "axis: 2"}) {
      this->check_gradient(reduction(operation, more), options);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(ReductionLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_top();
  EXPECT_ERROR(this->make(reduction("SUM", "axis: 2"))->SetUp(this->bottom, this->top),
               "'under_test' (Reduction): axis is 2");
  this->bottom[0]->Reshape(std::vector<int>{2, 0});
  EXPECT_ERROR(this->make(reduction("MEAN", "axis: 1"))->SetUp(this->bottom, this->top),
               "an empty bottom has no mean");
  this->forward(reduction("SUM", "axis: 1"));
  this->expect_near(this->data(*this->top[0]), {0, 0});
  this->top = this->bottom;
  EXPECT_ERROR(this->make(reduction("SUM"))->SetUp(this->bottom, this->top),
               "cannot work in place");
}

}  // namespace caffe
