#include <omp.h>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class DropoutLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(DropoutLayerTest, DtypesAndDevices);

namespace {

std::string ratio(const std::string& value) {
  return "type: 'Dropout' dropout_param { dropout_ratio: " + value + " }";
}

}  // namespace

TYPED_TEST(DropoutLayerTest, KeepsTheRightFractionAndScalesIt) {
  const int count = 1000000;
  this->add_bottom({10, count / 10}, 1, 2);
  for (const double p : {0.1, 0.5, 0.75, 0.999}) {
    this->forward(ratio(std::to_string(p)));
    const std::vector<double> x = this->data(*this->bottom[0]), y = this->data(*this->top[0]);
    int kept = 0;
    for (int i = 0; i < count; ++i) {
      if (y[i] == 0) continue;
      ++kept;
      ASSERT_NEAR(y[i], x[i] / (1 - float(p)), 1e-5 * y[i]);
    }
    const double deviation = std::sqrt(count * p * (1 - p));
    EXPECT_NEAR(kept, count * (1 - p), 4.5 * deviation) << p;
  }
}

// Neighbouring values and consecutive passes are independent.
TYPED_TEST(DropoutLayerTest, MasksAreUncorrelated) {
  const int count = 1 << 20;
  Blob<typename TypeParam::Dtype>* const x = this->add_bottom({count}, 1, 2);
  auto layer = this->forward(ratio("0.5"));
  std::vector<double> first = this->data(*this->top[0]);
  layer->Forward(this->bottom, this->top);
  std::vector<double> second = this->data(*this->top[0]);
  const double deviation = std::sqrt(count) / 2;
  for (const int distance : {1, 2, 3, 32, 1024}) {
    int equal = 0;
    for (int i = 0; i < count; ++i) equal += (first[i] > 0) == (first[(i + distance) % count] > 0);
    EXPECT_NEAR(equal, count / 2, 4.5 * deviation) << distance;
  }
  int equal = 0;
  for (int i = 0; i < count; ++i) equal += (first[i] > 0) == (second[i] > 0);
  EXPECT_NEAR(equal, count / 2, 4.5 * deviation);
  EXPECT_EQ(x->count(), count);
}

TYPED_TEST(DropoutLayerTest, SameSeedSameMaskForAnyNumberOfThreads) {
  this->add_bottom({64, 1024});
  std::vector<std::vector<double>> results;
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Caffe::set_random_seed(5);
    this->forward(ratio("0.5"));
    results.push_back(this->data(*this->top[0]));
  }
  omp_set_num_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  Caffe::set_random_seed(6);
  this->forward(ratio("0.5"));
  EXPECT_NE(results[0], this->data(*this->top[0]));
}

// The mask computed with NumPy's Mersenne twister and SplitMix64, written in Python.
TYPED_TEST(DropoutLayerTest, TheMaskIsTheOneDescribed) {
  this->add_bottom({16}, std::vector<double>(16, 1));
  Caffe::set_random_seed(1701);
  this->forward(ratio("0.5"));
  this->expect_near(this->data(*this->top[0]), {2, 2, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 2, 2, 2, 0});
}

TYPED_TEST(DropoutLayerTest, CopiesWhileTesting) {
  this->add_bottom({3, 4});
  auto layer = this->forward(ratio("0.7"), TEST);
  EXPECT_EQ(this->data(*this->top[0]), this->data(*this->bottom[0]));
  this->check_gradient(ratio("0.7"), {}, false, TEST);
  this->top = {this->bottom[0]};
  this->check_gradient(ratio("0.7"), {}, false, TEST);
}

// Without scale_train the scale moves from training to testing: the expected value is the same.
TYPED_TEST(DropoutLayerTest, ScalesInTestingWithoutScaleTrain) {
  const std::string text =
      "type: 'Dropout' dropout_param { dropout_ratio: 0.25 scale_train: false }";
  this->add_bottom({20, 50}, 1, 2);
  this->forward(text);
  std::vector<double> x = this->data(*this->bottom[0]);
  const std::vector<double> trained = this->data(*this->top[0]);
  int dropped = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (trained[i] == 0) {
      ++dropped;
    } else {
      ASSERT_EQ(trained[i], x[i]);
    }
  }
  EXPECT_NEAR(dropped, 250, 60);
  this->forward(text, TEST);
  for (double& value : x) value *= 0.75;
  this->expect_near(this->data(*this->top[0]), x);
  this->check_gradient(text, {}, false, TRAIN);
  this->check_gradient(text, {}, false, TEST);
  this->top = {this->bottom[0]};
  this->check_gradient(text, {}, false, TEST);
}

TYPED_TEST(DropoutLayerTest, DropsInTestingWithSampleWeightsTest) {
  this->add_bottom({20, 50}, 1, 2);
  for (const char* scale : {"", "scale_train: false"}) {
    const std::string text = std::string("type: 'Dropout' dropout_param { sample_weights_test: ") +
                             "true dropout_ratio: 0.3 " + scale + " }";
    std::vector<std::vector<double>> values;
    for (const Phase phase : {TRAIN, TEST}) {
      Caffe::set_random_seed(9);
      this->forward(text, phase);
      values.push_back(this->data(*this->top[0]));
    }
    EXPECT_EQ(values[0], values[1]);
    EXPECT_GT(std::count(values[1].begin(), values[1].end(), 0), 200);
    auto layer = this->forward(text, TEST);
    values[0] = this->data(*this->top[0]);
    layer->Forward(this->bottom, this->top);
    EXPECT_NE(values[0], this->data(*this->top[0]));  // each pass is another sample
    this->check_gradient(text, {}, false, TEST);
  }
}

TYPED_TEST(DropoutLayerTest, RatioZeroKeepsAll) {
  this->add_bottom({101});
  this->forward(ratio("0"));
  EXPECT_EQ(this->data(*this->top[0]), this->data(*this->bottom[0]));
}

TYPED_TEST(DropoutLayerTest, RatioJustBelowOneDropsNearlyAll) {
  this->add_bottom({100000}, 1, 2);
  this->forward(ratio("0.99999994"));
  int kept = 0;
  for (const double y : this->data(*this->top[0])) kept += y != 0;
  EXPECT_LE(kept, 1);
}

TYPED_TEST(DropoutLayerTest, Gradient) {
  this->add_bottom({3, 5, 7});
  this->check_gradient(ratio("0.3"));
  this->top = {this->bottom[0]};
  this->check_gradient(ratio("0.3"));
}

TYPED_TEST(DropoutLayerTest, RefusesAnInvalidRatio) {
  this->add_bottom({2, 3});
  this->add_top();
  for (const char* bad : {"1", "-0.1", "1.5", "nan"}) {
    auto layer = this->make(ratio(bad));
    EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (Dropout): dropout_ratio is");
  }
}

}  // namespace caffe
