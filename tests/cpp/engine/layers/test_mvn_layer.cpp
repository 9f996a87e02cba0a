#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class MVNLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(MVNLayerTest, DtypesAndDevices);

namespace {

std::string mvn(const std::string& param) {
  return "type: 'MVN' mvn_param { " + param + " }";
}

}  // namespace

TYPED_TEST(MVNLayerTest, Values) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{2, 3, 4, 5}, {2, 3, 7}, {1, 2, 2, 3, 4}}) {
    this->bottom.clear();
    this->add_bottom(shape, 2, 5);
    const std::vector<double> x = this->data(*this->bottom[0]);
    for (const bool across : {false, true}) {
      for (const bool divide : {false, true}) {
        const size_t length = this->bottom[0]->count(across ? 1 : 2);
        std::vector<double> expected = x;
        for (size_t begin = 0; begin < x.size(); begin += length) {
          double mean = 0, variance = 0;
          for (size_t i = begin; i < begin + length; ++i) mean += x[i] / length;
          for (size_t i = begin; i < begin + length; ++i) {
            variance += (x[i] - mean) * (x[i] - mean) / length;
          }
          for (size_t i = begin; i < begin + length; ++i) {
            expected[i] = (x[i] - mean) / (divide ? std::sqrt(variance) + 0.25 : 1);
          }
        }
        const std::string text =
            mvn(std::string("eps: 0.25 across_channels: ") + (across ? "true" : "false") +
                " normalize_variance: " + (divide ? "true" : "false"));
        this->top.clear();
        this->forward(text);
        this->expect_near(this->data(*this->top[0]), expected);
        this->top = this->bottom;
        this->forward(text);
        this->expect_near(this->data(*this->top[0]), expected);
        std::copy(x.begin(), x.end(), this->bottom[0]->mutable_cpu_data());
      }
    }
  }
}

TYPED_TEST(MVNLayerTest, Gradient) {
  this->add_bottom({2, 3, 4, 2});
  for (const char* param : {"", "eps: 0.5", "across_channels: true", "normalize_variance: false",
                            "across_channels: true normalize_variance: false"}) {
    this->fill_random(this->bottom[0], 5);
    this->top.clear();
    this->check_gradient(mvn(param));
    if (this->HasFatalFailure()) return;
    this->top = this->bottom;
    this->check_gradient(mvn(param));
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(MVNLayerTest, AFlatPlaneBecomesZero) {
  this->add_bottom({1, 1, 3}, {0.1, 0.1, 0.1});
  auto layer = this->forward(mvn(""));
  EXPECT_EQ(this->data(*this->top[0]), std::vector<double>(3, 0));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 3, 2);
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(3, 0));
}

TYPED_TEST(MVNLayerTest, Errors) {
  this->add_bottom({4});
  this->add_top();
  EXPECT_ERROR(this->make(mvn(""))->SetUp(this->bottom, this->top),
               "'under_test' (MVN): the bottom needs a channel axis");
}

}  // namespace caffe
