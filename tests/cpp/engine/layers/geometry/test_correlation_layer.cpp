#include <cmath>

#include "layers/layer_test.hpp"

namespace caffe {

/// A Correlation layer's parameters.
struct Correlated {
  int pad, kernel, reach, stride_1, stride_2;
  bool subtract;
  std::string text() const {
    const auto field = [](const char* name, int value) {
      return std::string(name) + ": " + std::to_string(value) + " ";
    };
    return "type: 'Correlation' correlation_param { " + field("pad", pad) +
           field("kernel_size", kernel) + field("max_displacement", reach) +
           field("stride_1", stride_1) + field("stride_2", stride_2) +
           (subtract ? "correlation_type: SUBTRACT }" : "}");
  }
};

template <typename TypeParam>
class CorrelationLayerTest : public LayerTest<TypeParam> {
 public:
  using typename LayerTest<TypeParam>::Dtype;

 protected:
  double at(int b, int n, int c, int h, int w) const {
    const Blob<Dtype>& maps = *this->bottom[b];
    const bool inside = h >= 0 && h < maps.shape(2) && w >= 0 && w < maps.shape(3);
    return inside ? maps.data_at(n, c, h, w) : 0;
  }
  /// The rule as written, in double, in padded coordinates.
  std::vector<double> reference(const Correlated& p) const {
    const Blob<Dtype>& maps = *this->bottom[0];
    const int radius = p.reach / p.stride_2, side = 2 * radius + 1;
    const double border = 2 * (p.reach + (p.kernel - 1) / 2);
    const int out_h = std::ceil((maps.shape(2) + 2 * p.pad - border) / p.stride_1);
    const int out_w = std::ceil((maps.shape(3) + 2 * p.pad - border) / p.stride_1);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{maps.shape(0), side * side, out_h, out_w}));
    std::vector<double> y;
    for (int n = 0; n < maps.shape(0); ++n) {
      for (int q = 0; q < side * side; ++q) {
        const int dx = (q % side - radius) * p.stride_2, dy = (q / side - radius) * p.stride_2;
        for (int i = 0; i < out_h * out_w; ++i) {
          double sum = 0;
          for (int k = 0; k < p.kernel * p.kernel; ++k) {
            const int h = i / out_w * p.stride_1 + p.reach + k / p.kernel - p.pad;
            const int w = i % out_w * p.stride_1 + p.reach + k % p.kernel - p.pad;
            for (int c = 0; c < maps.shape(1); ++c) {
              const double a = at(0, n, c, h, w), b = at(1, n, c, h + dy, w + dx);
              sum += p.subtract ? std::abs(a - b) : a * b;
            }
          }
          y.push_back(sum / (p.kernel * p.kernel * maps.shape(1)));
        }
      }
    }
    return y;
  }
  void add_maps(const std::vector<int>& shape) {
    this->add_bottom(shape);
    this->add_bottom(shape);
  }
  static std::vector<Correlated> kinds() {
    return {{4, 1, 4, 1, 2, false}, {3, 3, 2, 1, 1, false}, {2, 3, 3, 2, 2, false},
            {0, 1, 1, 3, 1, false}, {5, 1, 2, 2, 1, false}, {4, 1, 4, 1, 2, true},
            {3, 3, 2, 2, 1, true},  {5, 1, 2, 2, 1, true},  {0, 3, 0, 1, 1, true}};
  }
};
TYPED_TEST_SUITE(CorrelationLayerTest, DtypesAndDevices);

TYPED_TEST(CorrelationLayerTest, Values) {
  this->add_bottom({1, 2, 1, 2}, {1, 2, 3, 4});
  this->add_bottom({1, 2, 1, 2}, {5, 6, 7, 8});
  this->forward(Correlated{1, 1, 1, 1, 1, false}.text());
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 9, 1, 2}));
  // Only the middle row of displacements meets the maps: one to the left, none, one to the right.
  this->expect_near(this->data(*this->top[0]),
                    {0, 0, 0, 0, 0, 0, 0, (10 + 28) / 2., (5 + 21) / 2., (12 + 32) / 2.,
                     (6 + 24) / 2., 0, 0, 0, 0, 0, 0, 0});
  this->forward(Correlated{1, 1, 1, 1, 1, true}.text());
  this->expect_near(this->data(*this->top[0]),
                    {2, 3, 2, 3, 2, 3, 2, 3, 4, 4, 5, 3, 2, 3, 2, 3, 2, 3});
}

TYPED_TEST(CorrelationLayerTest, MatchesTheRule) {
  this->add_maps({2, 3, 9, 11});
  for (const Correlated& kind : this->kinds()) {
    SCOPED_TRACE(kind.text());
    this->forward(kind.text());
    this->expect_near(this->data(*this->top[0]), this->reference(kind));
  }
}

TYPED_TEST(CorrelationLayerTest, RowsLongerThanAPiece) {
  const Correlated kind = {2, 1, 2, 1, 1, false};
  this->add_maps({1, 2, 3, 150});
  this->forward(kind.text());
  this->expect_near(this->data(*this->top[0]), this->reference(kind));
}

TYPED_TEST(CorrelationLayerTest, FollowsItsBottoms) {
  const Correlated kind = {2, 3, 2, 1, 2, false};
  this->add_maps({2, 2, 5, 6});
  auto layer = this->forward(kind.text());
  for (const int images : {3, 1}) {
    for (auto* blob : this->bottom) {
      blob->Reshape({images, 2, 4 + images, 8});
      this->fill_random(blob, images);
    }
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]), this->reference(kind));
  }
}

TYPED_TEST(CorrelationLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1};
  for (const Correlated& kind : this->kinds()) {
    SCOPED_TRACE(kind.text());
    this->bottom.clear();
    this->add_maps({2, 2, 5, 6});
    for (int b = 0; b < 2; ++b) {  // no difference of two values is near 0
      auto* const x = this->bottom[b]->mutable_cpu_data();
      for (int i = 0; i < this->bottom[b]->count(); ++i) {
        x[i] = std::round(x[i] * 5) * 2 / 5 + (b == 0 ? 0.1 : 0.3);
      }
    }
    this->check_gradient(kind.text(), options);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(CorrelationLayerTest, GradientOfLongRows) {
  GradientOptions options;
  options.bottoms = {0, 1};
  this->add_maps({1, 1, 1, 70});
  this->check_gradient(Correlated{1, 1, 1, 1, 1, false}.text(), options);
}

TYPED_TEST(CorrelationLayerTest, Errors) {
  this->add_maps({1, 2, 5, 6});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Correlation' correlation_param { " + param + " }")
        ->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("kernel_size: 1"),
               "'under_test' (Correlation): correlation_param needs kernel_size and max_disp");
  EXPECT_ERROR(set_up("kernel_size: 2 max_displacement: 1"), "kernel_size must be odd; it is 2");
  EXPECT_ERROR(set_up("kernel_size: 1 max_displacement: 1 stride_2: 0"), "must be above 0");
  EXPECT_ERROR(set_up("kernel_size: 1 max_displacement: 4000000000"), "less than 16384");
  EXPECT_ERROR(set_up("kernel_size: 1 max_displacement: 1 single_direction: 1"),
               "single_direction is 1");
  EXPECT_ERROR(set_up("kernel_size: 1 max_displacement: 3"), "give a larger pad");
  this->bottom[1]->Reshape({1, 2, 5, 7});
  EXPECT_ERROR(set_up("kernel_size: 1 max_displacement: 1"), "takes two maps of one shape");
}

}  // namespace caffe
