#include <cmath>
#include <functional>

#include "layers/layer_test.hpp"

namespace caffe {

namespace {

double cut(double value, double low, double high) {
  return std::min(std::max(value, low), high);
}

/// One axis as the header writes it, in double.
struct Axis {
  double low, high, lowest, highest;
  int outputs;
  double place(int i) const { return low + (i + 0.5) / outputs * (high - low) - 0.5; }
  double inside(int i) const { return cut(place(i), lowest, highest); }
};

Axis axis_of(double centre, double half, int length, int outputs, bool whole) {
  Axis axis = {cut(centre - half, 0, length), cut(centre + half, 0, length), 0, length - 1.,
               outputs};
  if (whole) {
    axis.low = axis.lowest = std::min(std::floor(axis.low), length - 1.);
    axis.high = std::max(std::floor(axis.high), axis.low + 1);
    axis.highest = axis.high - 1;
  }
  return axis;
}

double level(double value) {
  return cut(std::floor(value + 0.5), 0, 255);
}

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace

template <typename TypeParam>
class AttentionCropLayerTest : public LayerTest<TypeParam> {
 public:
  using typename LayerTest<TypeParam>::Dtype;

 protected:
  /// How the reference computes.
  struct Rule {
    int size;
    bool whole;
    std::vector<double> mean = {};  // to round with; none: no rounding
    double least = 0.01f, steepness = 0.05f, scale = 1e-7f, slope = 0.005f;
  };
  double attention(int n, int k) const { return this->bottom[1]->cpu_data()[3 * n + k]; }
  double half(const Rule& rule, int n) const {
    const int height = this->bottom[0]->shape(2), width = this->bottom[0]->shape(3);
    return std::max(attention(n, 2), rule.least * std::min(height, width));
  }
  Axis columns(const Rule& rule, int n) const {
    return axis_of(attention(n, 0), half(rule, n), this->bottom[0]->shape(3), rule.size,
                   rule.whole);
  }
  Axis rows(const Rule& rule, int n) const {
    return axis_of(attention(n, 1), half(rule, n), this->bottom[0]->shape(2), rule.size,
                   rule.whole);
  }
  /// The crop, by a sum over all pixels with triangular weights.
  std::vector<double> crop(const Rule& rule) const {
    const Blob<Dtype>& images = *this->bottom[0];
    std::vector<double> y;
    for (int n = 0; n < images.shape(0); ++n) {
      const Axis across = columns(rule, n), down = rows(rule, n);
      for (int c = 0; c < images.shape(1); ++c) {
        for (int i = 0; i < rule.size * rule.size; ++i) {
          const double row = down.inside(i / rule.size), column = across.inside(i % rule.size);
          double sum = 0;
          for (int h = 0; h < images.shape(2); ++h) {
            for (int w = 0; w < images.shape(3); ++w) {
              double pixel = images.data_at(n, c, h, w);
              if (!rule.mean.empty()) pixel = level(pixel + rule.mean[c]);
              sum += pixel * std::max(0., 1 - std::abs(row - h)) *
                     std::max(0., 1 - std::abs(column - w));
            }
          }
          y.push_back(rule.mean.empty() ? sum : level(sum) - rule.mean[c]);
        }
      }
    }
    return y;
  }
  /// The attention's gradient by the window, from central differences of M.
  std::vector<double> window_gradient(const Rule& rule) const {
    const Blob<Dtype>& top = *this->top[0];
    const int outputs = rule.size * rule.size;
    std::vector<double> found;
    for (int n = 0; n < top.shape(0); ++n) {
      std::vector<double> strength(outputs);
      for (int c = 0; c < top.shape(1); ++c) {
        const Dtype* const dy = top.cpu_diff() + top.offset(n, c);
        double most = 0;
        for (int i = 0; i < outputs; ++i) most = std::max(most, std::abs(double(dy[i])));
        for (int i = 0; i < outputs && most > 0; ++i) strength[i] += std::abs(dy[i]) / most;
      }
      const Axis across = columns(rule, n), down = rows(rule, n);
      const auto window = [&](double x, double y, const double* t) {
        const double k = rule.steepness;
        return (logistic(k * (x - t[0] + t[2])) - logistic(k * (x - t[0] - t[2]))) *
               (logistic(k * (y - t[1] + t[2])) - logistic(k * (y - t[1] - t[2])));
      };
      for (int k = 0; k < 3; ++k) {
        double above[] = {attention(n, 0), attention(n, 1), half(rule, n)}, below[3];
        std::copy_n(above, 3, below);
        above[k] += 1e-4;
        below[k] -= 1e-4;
        double sum = 0;
        for (int i = 0; i < outputs; ++i) {
          const double x = across.place(i % rule.size), y = down.place(i / rule.size);
          sum += strength[i] * (window(x, y, above) - window(x, y, below)) / 2e-4;
        }
        found.push_back(sum * rule.scale + (k == 2 ? rule.slope : 0));
      }
    }
    return found;
  }
  void backward(Layer<Dtype>& layer, int seed) {
    this->fill_random(this->top[0], seed);  // diffs like the values of another blob
    std::copy_n(this->top[0]->cpu_data(), this->top[0]->count(), this->top[0]->mutable_cpu_diff());
    for (auto* blob : this->bottom) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), static_cast<Dtype>(NAN));
    }
    layer.Backward(this->top, {true, true}, this->bottom);
  }
  static std::string text(const std::string& param) {
    return "type: 'AttentionCrop' attention_crop_param { " + param + " }";
  }
};
TYPED_TEST_SUITE(AttentionCropLayerTest, DtypesAndDevices);

TYPED_TEST(AttentionCropLayerTest, TheWholeImageIsCopied) {
  this->add_bottom({2, 3, 6, 6});
  this->add_bottom({2, 3}, {3, 3, 3, 3, 3, 9});
  for (const char* gradient : {"EXACT", "MASK round_to_8_bit: false"}) {
    this->forward(this->text("output_size: 6 gradient: " + std::string(gradient)));
    this->expect_near(this->data(*this->top[0]), this->data(*this->bottom[0]));
  }
}

// The column's places are 1/4, 3/4, 5/4, 7/4 on an image of 0 1 2 3, the only row is row 1.
TYPED_TEST(AttentionCropLayerTest, ASquareByHand) {
  this->add_bottom({1, 1, 2, 4}, {-9, -9, -9, -9, 0, 1, 2, 3});
  this->add_bottom({1, 3}, {1.5, 1.5, 1});
  this->forward(this->text("output_size: 4 gradient: EXACT"));
  const std::vector<double> y = this->data(*this->top[0]);
  this->expect_near({y.end() - 4, y.end()}, {0.25, 0.75, 1.25, 1.75});
  // By whole pixels: [0, 2) x [0, 2), so that the second place is in the middle of pixels 0 and 1.
  this->forward(this->text("output_size: 4 round_to_8_bit: false"));
  const std::vector<double> whole = this->data(*this->top[0]);
  this->expect_near({whole.end() - 4, whole.end()}, {0, 0.25, 0.75, 1});
}

// Cut on each side, too small, partly beyond the outermost centres; no place is near a whole pixel.
const std::vector<double> kSquares = {3.13, 2.87, 1.57, 1.2,  4.9, 2.3,  2.77, 3.43,
                                      0.2,  0.3,  5.5,  0.61, 6.1, 2.87, 1.57};

TYPED_TEST(AttentionCropLayerTest, MatchesTheRule) {
  this->add_bottom({5, 2, 6, 7});
  this->add_bottom({5, 3}, kSquares);
  this->forward(this->text("output_size: 5 gradient: EXACT least_half_side: 0.05"));
  this->expect_near(this->data(*this->top[0]), this->crop({5, false, {}, 0.05f}));
  this->forward(this->text("output_size: 5 round_to_8_bit: false"));
  this->expect_near(this->data(*this->top[0]), this->crop({5, true}));
  EXPECT_EQ(this->top[0]->shape(), std::vector<int>({5, 2, 5, 5}));
}

// Places are multiples of 1/8, so that a float has halves exactly where the reference does.
TYPED_TEST(AttentionCropLayerTest, RoundsToLevels) {
  this->add_bottom({5, 3, 6, 7}, -140, 160);
  this->add_bottom({5, 3}, kSquares);
  this->forward(this->text("output_size: 4"));
  this->expect_near(this->data(*this->top[0]),
                    this->crop({4, true, {109.961f, 127.21f, 123.645f}}));
  this->forward(this->text("output_size: 4 mean_value: 100"));
  this->expect_near(this->data(*this->top[0]), this->crop({4, true, {100, 100, 100}}));
}

TYPED_TEST(AttentionCropLayerTest, TheMasksGradient) {
  this->add_bottom({5, 2, 6, 7});
  this->add_bottom({5, 3}, kSquares);
  auto layer =
      this->forward(this->text("output_size: 4 round_to_8_bit: false mask_scale: -0.5 "
                               "steepness: 0.8 half_side_slope: 0.25"));
  this->backward(*layer, 3);
  this->expect_near(this->diff(*this->bottom[0]), std::vector<double>(5 * 2 * 6 * 7));
  const std::vector<double> expected = this->window_gradient({4, true, {}, 0.01, 0.8f, -0.5, 0.25});
  EXPECT_GT(std::abs(expected[0]), 1e-3);
  this->expect_near(this->diff(*this->bottom[1]), expected,
                    sizeof(typename TypeParam::Dtype) == 4 ? 1e-5 : 1e-7);

  // The fork's constants; and a channel without any gradient.
  layer = this->forward(this->text("output_size: 4 round_to_8_bit: false"));
  this->backward(*layer, 4);
  for (int i = 0; i < 16; ++i) this->top[0]->mutable_cpu_diff()[i] = 0;
  layer->Backward(this->top, {false, true}, this->bottom);
  const std::vector<double> found = this->diff(*this->bottom[1]);
  const std::vector<double> by = this->window_gradient({4, true});
  double most = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const bool coarse = i % 3 == 2 && sizeof(typename TypeParam::Dtype) == 4;
    EXPECT_NEAR(found[i], by[i], coarse ? 5e-10 : 1e-15);  // a float's last place at 0.005
    if (i % 3 < 2) most = std::max(most, std::abs(by[i]));
  }
  EXPECT_GT(most, 1e-11);
}

TYPED_TEST(AttentionCropLayerTest, Gradient) {
  this->add_bottom({5, 2, 6, 7});
  this->add_bottom({5, 3}, kSquares);
  GradientOptions options;
  options.bottoms = {0, 1};
  options.step = sizeof(typename TypeParam::Dtype) == 4 ? 1e-3 : 1e-6;
  options.tolerance = sizeof(typename TypeParam::Dtype) == 4 ? 5e-3 : 1e-6;
  this->check_gradient(this->text("output_size: 3 gradient: EXACT least_half_side: 0.05"), options);
}

// Each pixel is next to many values of the crop, or to none; the sum of all weights is that of dy.
TYPED_TEST(AttentionCropLayerTest, AnEnlargedPixelGetsAllItsGradients) {
  this->add_bottom({3, 1, 9, 9});
  this->add_bottom({3, 3}, {4.5, 4.5, 0.0001, 2, 3, 1, 40, 4, 5});  // the last beside the image
  auto layer = this->forward(this->text("output_size: 20 gradient: EXACT least_half_side: 1e-6"));
  this->backward(*layer, 5);
  const std::vector<double> dx = this->diff(*this->bottom[0]), dy = this->diff(*this->top[0]);
  for (int n = 0; n < 3; ++n) {
    double got = 0, given = 0;
    for (int i = 0; i < 81; ++i) got += dx[81 * n + i];
    for (int i = 0; i < 400; ++i) given += dy[400 * n + i];
    EXPECT_NEAR(got, given, 1e-3);
  }
}

TYPED_TEST(AttentionCropLayerTest, AttentionThatIsNoNumber) {
  this->add_bottom({1, 1, 4, 4});
  const double nan = NAN, inf = INFINITY;
  for (const char* gradient : {"EXACT", "MASK round_to_8_bit: false"}) {
    for (int k = 0; k < 3; ++k) {
      for (const double bad : {nan, inf, -inf}) {
        std::vector<double> square = {2, 2, 1};
        square[k] = bad;
        this->bottom.resize(1);
        this->add_bottom({1, 3}, square);
        auto layer = this->forward(this->text("output_size: 2 gradient: " + std::string(gradient)));
        for (const double y : this->data(*this->top[0])) EXPECT_TRUE(std::isnan(y));
        this->backward(*layer, 6);
      }
    }
    for (const double far : {1e30, -1e30}) {  // the nearest pixels
      this->bottom.resize(1);
      this->add_bottom({1, 3}, {far, far, 1});
      auto layer = this->forward(this->text("output_size: 2 gradient: " + std::string(gradient)));
      const double corner = this->data(*this->bottom[0])[far > 0 ? 15 : 0];
      this->expect_near(this->data(*this->top[0]), std::vector<double>(4, corner));
      this->backward(*layer, 6);
      for (const double d : this->diff(*this->bottom[1])) EXPECT_TRUE(std::isfinite(d));
    }
  }
}

TYPED_TEST(AttentionCropLayerTest, FollowsItsBottoms) {
  this->add_bottom({2, 3, 8, 8});
  this->add_bottom({2, 3}, 2, 6);
  auto layer = this->forward(this->text("output_size: 4 gradient: EXACT"));
  for (const int images : {3, 1, 0}) {
    this->bottom[0]->Reshape({images, 1 + images, 5, 6});
    this->bottom[1]->Reshape({images, 3, 1, 1});
    this->fill_random(this->bottom[0], 8);
    this->fill_random(this->bottom[1], 9, 1, 4);
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]), this->crop({4, false}));
    layer->Backward(this->top, {true, true}, this->bottom);
  }
}

TYPED_TEST(AttentionCropLayerTest, Errors) {
  this->add_bottom({2, 3, 5, 5});
  this->add_bottom({2, 3});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make(this->text(param))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("output_size: 0"),
               "'under_test' (AttentionCrop): output_size must be from 1 to 16384; it is 0");
  EXPECT_ERROR(set_up("least_half_side: 0"), "above 0 and up to 1; it is 0");
  EXPECT_ERROR(set_up("steepness: -1"), "steepness must be above 0; it is -1");
  EXPECT_ERROR(set_up("mean_value: 1 mean_value: 2"),
               "a mean_value for each of the 3 channels, or one for all; there are 2");
  this->bottom[1]->Reshape({2, 4});
  EXPECT_ERROR(set_up(""), "tx, ty, tl of each image, needs the shape 2 x 3; it is 2 4");
  this->bottom[1]->Reshape({3, 3});
  EXPECT_ERROR(set_up(""), "needs the shape 2 x 3");
  this->bottom[1]->Reshape({2, 3});
  this->bottom[0]->Reshape({2, 75});
  EXPECT_ERROR(set_up(""), "needs four axes");
  this->bottom[0]->Reshape({2, 4, 5, 5});
  EXPECT_ERROR(set_up(""), "each of the 4 channels, or one for all; there are 3");
}

}  // namespace caffe
