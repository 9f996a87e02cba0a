#include "caffe/filler.hpp"

#include <cmath>
#include <numeric>

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

template <typename Dtype>
class FillerTest : public ::testing::Test {
 protected:
  FillerTest() { Caffe::set_random_seed(1701); }

  void fill(const string& type, const vector<int>& shape) {
    param.set_type(type);
    blob.Reshape(shape);
    std::unique_ptr<Filler<Dtype>>(GetFiller<Dtype>(param))->Fill(&blob);
    const Dtype* values = blob.cpu_data();
    mean = std::accumulate(values, values + blob.count(), 0.0) / blob.count();
    double squares = 0;
    for (int i = 0; i < blob.count(); ++i) squares += (values[i] - mean) * (values[i] - mean);
    deviation = std::sqrt(squares / blob.count());
  }
  void expect_between(double low, double high) {
    for (int i = 0; i < blob.count(); ++i) {
      ASSERT_TRUE(blob.cpu_data()[i] >= Dtype(low) && blob.cpu_data()[i] <= Dtype(high));
    }
  }

  FillerParameter param;
  Blob<Dtype> blob;
  double mean, deviation;
};
TYPED_TEST_SUITE(FillerTest, Dtypes);

TYPED_TEST(FillerTest, Constant) {
  this->param.set_value(2.5);
  this->fill("constant", {2, 3});
  this->expect_between(2.5, 2.5);
  std::unique_ptr<Filler<TypeParam>> filler(GetFiller<TypeParam>(FillerParameter()));
  filler->Fill(&this->blob);  // the default: constant 0
  this->expect_between(0, 0);
}

TYPED_TEST(FillerTest, Uniform) {
  this->param.set_min(-1);
  this->param.set_max(3);
  this->fill("uniform", {100, 200});
  this->expect_between(-1, 3);
  EXPECT_NEAR(this->mean, 1, 0.05);  // standard deviation of the mean: 0.008
  EXPECT_NEAR(this->deviation, 4 / std::sqrt(12.0), 0.05);
}

TYPED_TEST(FillerTest, Gaussian) {
  this->param.set_mean(0.5);
  this->param.set_std(0.1);
  this->fill("gaussian", {100, 200});
  EXPECT_NEAR(this->mean, 0.5, 0.005);
  EXPECT_NEAR(this->deviation, 0.1, 0.005);
}

TYPED_TEST(FillerTest, SparseGaussianKeepsSoManyWeightsOfAnInput) {
  this->param.set_sparse(25);
  this->fill("gaussian", {100, 200});  // 200 inputs of 100 weights each
  int kept = 0;
  for (int i = 0; i < 20000; ++i) kept += this->blob.cpu_data()[i] != TypeParam(0);
  EXPECT_NEAR(kept, 5000, 300);  // deviation 61
  this->param.set_sparse(101);
  EXPECT_ERROR(this->fill("gaussian", {100, 200}), "only 100 weights");
  this->param.set_sparse(3);
  for (const char* type : {"constant", "uniform", "xavier", "msra", "positive_unitball"}) {
    EXPECT_ERROR(this->fill(type, {100, 200}), "does not support 'sparse'");
  }
}

TYPED_TEST(FillerTest, PositiveUnitball) {
  this->fill("positive_unitball", {10, 3, 4});
  this->expect_between(0, 1);
  for (int row = 0; row < 10; ++row) {
    const TypeParam* values = this->blob.cpu_data() + 12 * row;
    EXPECT_NEAR(std::accumulate(values, values + 12, 0.0), 1, 1e-5);
  }
  EXPECT_GT(this->deviation, 0.02);
}

TYPED_TEST(FillerTest, XavierAndMsraScaleWithTheFan) {
  struct {
    FillerParameter::VarianceNorm norm;
    double fan;
  } cases[] = {{FillerParameter::FAN_IN, 60.0 * 4},
               {FillerParameter::FAN_OUT, 120.0 * 4},
               {FillerParameter::AVERAGE, 90.0 * 4}};
  for (const auto& c : cases) {
    this->param.set_variance_norm(c.norm);
    this->fill("xavier", {120, 60, 2, 2});
    const double bound = std::sqrt(3 / c.fan);
    this->expect_between(-bound * 1.0001, bound * 1.0001);
    EXPECT_NEAR(this->deviation, std::sqrt(1 / c.fan), 0.02 * bound);
    EXPECT_NEAR(this->mean, 0, 0.02 * bound);
    this->fill("msra", {120, 60, 2, 2});
    EXPECT_NEAR(this->deviation, std::sqrt(2 / c.fan), 0.02 * std::sqrt(2 / c.fan));
    EXPECT_NEAR(this->mean, 0, 0.03 * std::sqrt(2 / c.fan));
  }
  EXPECT_ERROR(this->fill("xavier", {0, 3}), "empty");
}

TYPED_TEST(FillerTest, Bilinear) {
  this->fill("bilinear", {2, 1, 4, 4});  // enlarges by 2
  const double triangle[] = {0.25, 0.75, 0.75, 0.25};
  for (int i = 0; i < 32; ++i) {
    EXPECT_NEAR(this->blob.cpu_data()[i], triangle[i % 4] * triangle[i / 4 % 4], 1e-6);
  }
  this->fill("bilinear", {1, 1, 5, 5});  // by 3
  const double odd[] = {1 / 3.0, 2 / 3.0, 1, 2 / 3.0, 1 / 3.0};
  for (int i = 0; i < 25; ++i) EXPECT_NEAR(this->blob.cpu_data()[i], odd[i % 5] * odd[i / 5], 1e-6);
  for (int size = 1; size <= 14; ++size) {  // about the centre (size - 1) / 2, for every size
    this->fill("bilinear", {1, 1, size, size});
    const double factor = (size + 1) / 2, centre = (size - 1) / 2.0;
    for (int i = 0; i < size * size; ++i) {
      const double y = std::fabs(i / size - centre) / factor,
                   x = std::fabs(i % size - centre) / factor;
      EXPECT_NEAR(this->blob.cpu_data()[i], (1 - y) * (1 - x), 1e-6) << size << " " << i;
    }
  }
  EXPECT_ERROR(this->fill("bilinear", {1, 1, 4, 5}), "square");
  EXPECT_ERROR(this->fill("bilinear", {4, 4}), "four axes");
}

TYPED_TEST(FillerTest, UnknownTypesListTheKnown) {
  EXPECT_ERROR(this->fill("xaver", {1}), "did you mean 'xavier'?");
  EXPECT_ERROR(this->fill("xaver", {1}), "constant, gaussian, msra");
}

}  // namespace caffe
