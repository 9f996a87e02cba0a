#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class BatchNormLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(BatchNormLayerTest, DtypesAndDevices);

namespace {

/// Mean and (biased) variance of one channel, in long double and two passes.
template <typename Dtype>
std::pair<double, double> moments(const Blob<Dtype>& x, int c) {
  const int outer = x.shape(0), channels = x.shape(1), inner = x.count(2);
  const auto at = [&](int n, int i) { return x.cpu_data()[(n * channels + c) * inner + i]; };
  long double mean = 0, variance = 0;
  for (int n = 0; n < outer; ++n) {
    for (int i = 0; i < inner; ++i) mean += at(n, i);
  }
  mean /= outer * inner;
  for (int n = 0; n < outer; ++n) {
    for (int i = 0; i < inner; ++i) variance += (at(n, i) - mean) * (at(n, i) - mean);
  }
  return {double(mean), double(variance / (outer * inner))};
}

}  // namespace

TYPED_TEST(BatchNormLayerTest, NormalisesEachChannelOverTheBatch) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{7, 3}, {4, 2, 5}, {2, 3, 4, 5}, {3, 2, 2, 3, 2}}) {
    this->bottom.clear();
    const auto* x = this->add_bottom(shape, 1, 5);
    for (const bool in_place : {false, true}) {
      std::vector<double> expected = this->data(*x);
      const int channels = x->shape(1), inner = x->count(2);
      for (int c = 0; c < channels; ++c) {
        const std::pair<double, double> m = moments(*x, c);
        for (int i = 0; i < x->count(); ++i) {
          if (i / inner % channels == c) {
            expected[i] = (expected[i] - m.first) / std::sqrt(m.second + 0.25);
          }
        }
      }
      this->top.clear();
      if (in_place) this->top = this->bottom;
      this->forward("type: 'BatchNorm' batch_norm_param { eps: 0.25 }");
      this->expect_near(this->data(*this->top[0]), expected);
    }
  }
}

TYPED_TEST(BatchNormLayerTest, AMeanFarFromZeroCostsNoPrecision) {
  typedef typename TypeParam::Dtype Dtype;
  auto* x = this->add_bottom({4, 1, 25, 25});
  const double offset = sizeof(Dtype) == 4 ? 1000 : 1e8;
  for (int i = 0; i < x->count(); ++i) x->mutable_cpu_data()[i] += Dtype(offset);
  auto layer = this->forward("type: 'BatchNorm'");
  const std::pair<double, double> m = moments(*x, 0);
  const double variance = layer->blobs()[1]->cpu_data()[0] * 2499. / 2500.;
  EXPECT_NEAR(layer->blobs()[0]->cpu_data()[0] / m.first, 1, 1e-7);
  EXPECT_NEAR(variance / m.second, 1, sizeof(Dtype) == 4 ? 3e-7 : 1e-10);
}

TYPED_TEST(BatchNormLayerTest, KeepsMovingAverages) {
  this->add_bottom({5, 2, 3});
  const char* const text = "type: 'BatchNorm' batch_norm_param { moving_average_fraction: 0.75 }";
  auto layer = this->forward(text);
  const auto first = moments(*this->bottom[0], 1);
  this->fill_random(this->bottom[0], 9, 2, 7);
  layer->Forward(this->bottom, this->top);
  const auto second = moments(*this->bottom[0], 1);
  const auto& blobs = layer->blobs();
  ASSERT_EQ(blobs.size(), 3u);
  const auto sum = [](double a, double b) { return 0.75 * a + b; };
  EXPECT_NEAR(blobs[0]->cpu_data()[1], sum(first.first, second.first), 1e-5);
  EXPECT_NEAR(blobs[1]->cpu_data()[1], sum(first.second, second.second) * 15 / 14, 1e-5);
  EXPECT_EQ(blobs[2]->cpu_data()[0], 1.75);

  auto testing = this->make(text, TEST);  // with these averages
  testing->SetUp(this->bottom, this->top);
  for (int i = 0; i < 3; ++i) testing->blobs()[i]->CopyFrom(*blobs[i]);
  testing->Forward(this->bottom, this->top);
  const double mean = sum(first.first, second.first) / 1.75;
  const double variance = sum(first.second, second.second) * 15 / 14 / 1.75;
  EXPECT_NEAR(this->top[0]->cpu_data()[3],
              (this->bottom[0]->cpu_data()[3] - mean) / std::sqrt(variance + 1e-5), 1e-5);
  EXPECT_EQ(testing->blobs()[2]->cpu_data()[0], 1.75);
}

TYPED_TEST(BatchNormLayerTest, AChannelOfOneValueBecomesZero) {
  this->add_bottom({1, 3}, {5, -2, 0});
  auto layer = this->forward("type: 'BatchNorm'");
  EXPECT_EQ(this->data(*this->top[0]), std::vector<double>(3, 0));
  EXPECT_EQ(layer->blobs()[1]->cpu_data()[0], 0);
}

TYPED_TEST(BatchNormLayerTest, WithoutAveragesNothingIsSubtracted) {
  this->add_bottom({1, 1, 2}, {3, -6});
  this->forward("type: 'BatchNorm' batch_norm_param { eps: 0.25 }", TEST);
  this->expect_near(this->data(*this->top[0]), {6, -12});
}

TYPED_TEST(BatchNormLayerTest, Gradient) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{6, 3}, {3, 2, 5}, {2, 3, 4, 5}}) {
    this->bottom.clear();
    this->add_bottom(shape);
    for (const bool in_place : {false, true}) {
      this->top.clear();
      if (in_place) this->top = this->bottom;
      GradientOptions options;
      options.params = false;
      for (const char* param : {"eps: 0.01", "use_global_stats: true"}) {
        this->check_gradient(std::string("type: 'BatchNorm' batch_norm_param { ") + param + " }",
                             options);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(BatchNormLayerTest, NoSolverMayChangeTheStatistics) {
  this->add_bottom({2, 3});
  auto layer = this->forward("type: 'BatchNorm' param { lr_mult: 0 decay_mult: 3 }");
  ASSERT_EQ(layer->layer_param().param_size(), 3);
  for (const ParamSpec& param : layer->layer_param().param()) EXPECT_EQ(param.lr_mult(), 0);
  EXPECT_ERROR(this->make("type: 'BatchNorm' param { lr_mult: 1 }")->SetUp(this->bottom, this->top),
               "'under_test' (BatchNorm): param 0 has lr_mult 1");
}

TYPED_TEST(BatchNormLayerTest, Errors) {
  this->add_bottom({4});
  this->add_top();
  EXPECT_ERROR(this->make("type: 'BatchNorm'")->SetUp(this->bottom, this->top),
               "'under_test' (BatchNorm): the bottom needs a channel axis");
  this->bottom[0]->Reshape({2, 3});
  auto layer = this->make("type: 'BatchNorm'");
  layer->SetUp(this->bottom, this->top);
  this->bottom[0]->Reshape({2, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "has statistics of 3 channels");
  this->bottom[0]->Reshape(std::vector<int>{0, 3});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "an empty batch has no mean");
}

}  // namespace caffe
