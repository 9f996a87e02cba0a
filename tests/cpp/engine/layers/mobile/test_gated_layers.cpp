#include <limits>

#include "layers/layer_test.hpp"

namespace caffe {

/// What Mish, HardSwish and HSwish have in common.
template <typename TypeParam>
class GatedLayersTest : public LayerTest<TypeParam> {
 protected:
  typedef double (*Function)(double);
  static double mish(double x) { return x * std::tanh(std::log1p(std::exp(x))); }
  static double hard_swish(double x) { return x * std::min(std::max(x + 3, 0.), 6.) / 6; }

  /// The layer's values, in place too, are the function's.
  void expect_function(const std::string& type, Function function) {
    for (const bool in_place : {false, true}) {
      this->bottom.clear();
      this->top.clear();
      auto* const x = this->add_bottom({4, 101});
      for (int i = 0; i < x->count(); ++i) x->mutable_cpu_data()[i] = (i - 202) * 0.15625;
      if (in_place) this->top = this->bottom;
      const std::vector<double> values = this->data(*x);
      this->forward("type: '" + type + "'");
      const std::vector<double> found = this->data(*this->top[0]);
      for (size_t i = 0; i < values.size(); ++i) {
        const double wanted = function(values[i]);
        ASSERT_NEAR(found[i], wanted,
                    (sizeof(typename TypeParam::Dtype) == 4 ? 1e-6 : 1e-14) * std::abs(wanted))
            << values[i];
      }
    }
  }
  void start(bool in_place, const std::vector<int>& shape) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom(shape, -5, 5);
    if (in_place) this->top = this->bottom;
  }
  void expect_nan_stays(const std::string& type) {
    this->add_bottom({1, 1}, {std::nan("")});
    this->forward("type: '" + type + "'");
    EXPECT_TRUE(std::isnan(this->top[0]->cpu_data()[0]));
  }
  void check_gradients(const std::string& type) {
    GradientOptions options;
    options.kink = 3;
    options.kink_range = 0.02;
    for (const bool in_place : {false, true}) {
      start(in_place, {2, 3, 4, 5});
      this->check_gradient("type: '" + type + "'", options);
      if (this->HasFatalFailure()) FAIL() << (in_place ? "in place" : "");
    }
  }
  /// Of large values, which stay as they are.
  void expect_other_batches(const std::string& type) {
    for (const bool in_place : {false, true}) {
      start(in_place, {2, 3});
      auto layer = this->forward("type: '" + type + "'");
      for (const int images : {5, 1}) {
        this->bottom[0]->Reshape({images, 3});
        std::fill_n(this->bottom[0]->mutable_cpu_data(), images * 3, 40);
        layer->Forward(this->bottom, this->top);
        EXPECT_EQ(this->data(*this->top[0]), std::vector<double>(images * 3, 40));
        std::fill_n(this->top[0]->mutable_cpu_diff(), images * 3, 2);
        layer->Backward(this->top, {true}, this->bottom);
        EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(images * 3, 2));
      }
    }
  }
};

template <typename TypeParam>
class MishLayerTest : public GatedLayersTest<TypeParam> {};
template <typename TypeParam>
class HardSwishLayerTest : public GatedLayersTest<TypeParam> {};
template <typename TypeParam>
class HSwishLayerTest : public GatedLayersTest<TypeParam> {};
TYPED_TEST_SUITE(MishLayerTest, DtypesAndDevices);
TYPED_TEST_SUITE(HardSwishLayerTest, DtypesAndDevices);
TYPED_TEST_SUITE(HSwishLayerTest, DtypesAndDevices);

TYPED_TEST(MishLayerTest, Values) {
  this->expect_function("Mish", this->mish);
}

TYPED_TEST(MishLayerTest, FarOut) {
  this->add_bottom({1, 5}, {0, 1e30, -3e38, 300, -300});
  auto layer = this->forward("type: 'Mish'");
  const std::vector<double> y = this->data(*this->top[0]);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], this->bottom[0]->cpu_data()[1]);
  EXPECT_NEAR(y[2], 0, 1e-6);
  EXPECT_EQ(y[3], 300);
  EXPECT_NEAR(y[4], 0, 1e-6);
  this->bottom[0]->mutable_cpu_data()[1] = std::numeric_limits<double>::infinity();
  layer->Forward(this->bottom, this->top);
  std::fill_n(this->top[0]->mutable_cpu_diff(), 5, 1);
  layer->Backward(this->top, {true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0.6, 1, 0, 1, 0});
}

TYPED_TEST(HardSwishLayerTest, Values) {
  this->expect_function("HardSwish", this->hard_swish);
}

TYPED_TEST(HSwishLayerTest, Values) {
  this->expect_function("HSwish", this->hard_swish);
}

TYPED_TEST(MishLayerTest, NanStaysNan) {
  this->expect_nan_stays("Mish");
}

TYPED_TEST(HardSwishLayerTest, NanStaysNan) {
  this->expect_nan_stays("HardSwish");
}

TYPED_TEST(MishLayerTest, Gradient) {
  this->check_gradients("Mish");
}

TYPED_TEST(HardSwishLayerTest, Gradient) {
  this->check_gradients("HardSwish");
}

TYPED_TEST(HSwishLayerTest, Gradient) {
  this->check_gradients("HSwish");
}

TYPED_TEST(MishLayerTest, AnotherBatch) {
  this->expect_other_batches("Mish");
}

TYPED_TEST(HardSwishLayerTest, AnotherBatch) {
  this->expect_other_batches("HardSwish");
}

}  // namespace caffe
