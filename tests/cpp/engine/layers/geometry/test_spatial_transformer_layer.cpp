#include <cmath>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SpatialTransformerLayerTest : public LayerTest<TypeParam> {
 public:
  using typename LayerTest<TypeParam>::Dtype;

 protected:
  /// The rule as written, in double, with the sum over all values of a map; theta is N x 6.
  std::vector<double> reference(const std::vector<double>& theta, int out_h, int out_w) const {
    const Blob<Dtype>& maps = *this->bottom[0];
    const int height = maps.shape(2), width = maps.shape(3);
    std::vector<double> y;
    for (int n = 0; n < maps.shape(0); ++n) {
      const double* const t = theta.data() + 6 * n;
      for (int c = 0; c < maps.shape(1); ++c) {
        for (int i = 0; i < out_h * out_w; ++i) {
          const double g = 2. * (i / out_w) / out_h - 1, k = 2. * (i % out_w) / out_w - 1;
          const double row = (t[0] * g + t[1] * k + t[2] + 1) / 2 * height;
          const double column = (t[3] * g + t[4] * k + t[5] + 1) / 2 * width;
          double sum = 0;
          for (int h = 0; h < height; ++h) {
            for (int w = 0; w < width; ++w) {
              sum += maps.data_at(n, c, h, w) * std::max(0., 1 - std::abs(row - h)) *
                     std::max(0., 1 - std::abs(column - w));
            }
          }
          y.push_back(sum);
        }
      }
    }
    return y;
  }
  std::vector<double> diff_after(Layer<Dtype>& layer, const std::vector<bool>& down, int of) {
    std::fill_n(this->top[0]->mutable_cpu_diff(), this->top[0]->count(), Dtype(1));
    for (auto* blob : this->bottom) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), static_cast<Dtype>(NAN));
    }
    layer.Backward(this->top, down, this->bottom);
    return this->diff(*this->bottom[of]);
  }
};
TYPED_TEST_SUITE(SpatialTransformerLayerTest, DtypesAndDevices);

TYPED_TEST(SpatialTransformerLayerTest, TheIdentityCopies) {
  this->add_bottom({2, 3, 4, 8});
  this->add_bottom({2, 6}, {1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0});
  this->forward("type: 'SpatialTransformer'");
  EXPECT_EQ(this->top[0]->shape(), this->bottom[0]->shape());
  this->expect_near(this->data(*this->top[0]), this->data(*this->bottom[0]));
}

TYPED_TEST(SpatialTransformerLayerTest, TheFirstRowOfThetaIsForRows) {
  this->add_bottom({1, 1, 2, 2}, {1, 2, 3, 4});
  this->add_bottom({1, 6}, {1, 0, 1, 0, 1, 0});  // one row lower
  this->forward("type: 'SpatialTransformer'");
  this->expect_near(this->data(*this->top[0]), {3, 4, 0, 0});
  // Rows and columns swapped; half a column to the right.
  const std::vector<double> theta = {0, 1, 0, 1, 0, 0.5};
  std::copy(theta.begin(), theta.end(), this->bottom[1]->mutable_cpu_data());
  this->forward("type: 'SpatialTransformer'");
  this->expect_near(this->data(*this->top[0]), {1.5, 3.5, 1, 2});
}

TYPED_TEST(SpatialTransformerLayerTest, MatchesTheRule) {
  std::vector<double> theta = {0.9, -0.3, 0.2, 0.4, 1.1, -0.1, -1.5, 0.2, 0.7, 0, 0.5, 3};
  this->add_bottom({2, 2, 5, 7});
  this->add_bottom({2, 6}, theta);
  for (double& v : theta) v = static_cast<typename TypeParam::Dtype>(v);
  this->forward("type: 'SpatialTransformer' st_param { output_H: 4 output_W: 9 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 2, 4, 9}));
  this->expect_near(this->data(*this->top[0]), this->reference(theta, 4, 9));
}

TYPED_TEST(SpatialTransformerLayerTest, FixedElementsAreLeftOut) {
  this->add_bottom({2, 2, 5, 7});
  this->add_bottom({2, 2, 1, 1}, {0.25, -0.5, 0.75, 0.125});  // theta_1_3 and theta_2_3
  auto layer = this->forward(
      "type: 'SpatialTransformer' st_param { theta_1_1: 0.5 theta_1_2: 0 theta_2_1: 0.25 "
      "theta_2_2: 0.5 }");
  const std::vector<double> theta = {0.5, 0, 0.25, 0.25, 0.5, -0.5, 0.5, 0, 0.75, 0.25, 0.5, 0.125};
  this->expect_near(this->data(*this->top[0]), this->reference(theta, 5, 7));
  this->bottom[0]->Reshape({3, 1, 4, 4});
  this->fill_random(this->bottom[0], 3);
  this->bottom[1]->Reshape({3, 0});
  layer = this->forward(
      "type: 'SpatialTransformer' st_param { theta_1_1: 1 theta_1_2: 0 theta_1_3: 0 "
      "theta_2_1: 0 theta_2_2: 1 theta_2_3: 0 }");
  this->expect_near(this->data(*this->top[0]), this->data(*this->bottom[0]));
  this->expect_near(this->diff_after(*layer, {true, true}, 0), std::vector<double>(48, 1));
}

TYPED_TEST(SpatialTransformerLayerTest, FollowsItsBottoms) {
  this->add_bottom({2, 2, 5, 7});
  this->add_bottom({2, 6});
  auto layer = this->forward("type: 'SpatialTransformer'");
  for (const int images : {3, 1}) {
    this->bottom[0]->Reshape({images, 2, 2 + images, 4});
    this->bottom[1]->Reshape({images, 6});
    this->fill_random(this->bottom[0], 8);
    this->fill_random(this->bottom[1], 9);
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]),
                      this->reference(this->data(*this->bottom[1]), 2 + images, 4));
  }
}

TYPED_TEST(SpatialTransformerLayerTest, WhatLiesFarOffTheMapIsZero) {
  this->add_bottom({1, 1, 2, 2}, {1, 2, 3, 4});
  const double nan = NAN, inf = INFINITY;
  for (const double bad : {nan, inf, 1e30, -1e30}) {
    this->bottom.resize(1);
    this->add_bottom({1, 6}, {1, 0, bad, 0, 1, 0});
    auto layer = this->forward("type: 'SpatialTransformer'");
    this->expect_near(this->data(*this->top[0]), {0, 0, 0, 0});
    this->expect_near(this->diff_after(*layer, {true, true}, 0), {0, 0, 0, 0});
    this->expect_near(this->diff(*this->bottom[1]), {0, 0, 0, 0, 0, 0});
  }
}

TYPED_TEST(SpatialTransformerLayerTest, GradientOfTheMapCanBeLeftOut) {
  this->add_bottom({1, 1, 2, 2}, {1, 2, 4, 8});
  this->add_bottom({1, 6}, {1, 0, 0, 0, 1, 0});
  auto layer = this->forward("type: 'SpatialTransformer' st_param { to_compute_dU: false }");
  this->expect_near(this->diff_after(*layer, {true, true}, 0), {0, 0, 0, 0});
  // On whole rows and columns the gradient is that of greater coordinates. With 0 off the map, d
  // row = 3, 6, -4, -8 and d column = 1, -2, 4, -8; times half a side, 1, and g = -1 or 0.
  this->expect_near(this->diff(*this->bottom[1]), {-9, 1, -3, 1, -5, -5});
}

TYPED_TEST(SpatialTransformerLayerTest, Gradient) {
  // Places stay off whole rows and columns, where the gradient jumps.
  this->add_bottom({2, 2, 4, 4});
  this->add_bottom({2, 6}, {0.7, 0.1, 0.13, -0.2, 0.6, 0.09, 0.43, -0.1, 0.21, 0.14, 0.8, 0.17});
  GradientOptions options;
  options.bottoms = {0, 1};
  options.step = sizeof(typename TypeParam::Dtype) == 4 ? 1e-3 : 1e-6;
  options.tolerance = sizeof(typename TypeParam::Dtype) == 4 ? 5e-3 : 1e-6;
  this->check_gradient("type: 'SpatialTransformer' st_param { output_H: 3 output_W: 3 }", options);
}

TYPED_TEST(SpatialTransformerLayerTest, GradientOfSomeElements) {
  this->add_bottom({2, 2, 4, 4});
  this->add_bottom({2, 3}, {0.1, 0.13, 0.6, -0.1, 0.21, 0.8});
  GradientOptions options;
  options.bottoms = {1};
  options.step = sizeof(typename TypeParam::Dtype) == 4 ? 1e-3 : 1e-6;
  options.tolerance = sizeof(typename TypeParam::Dtype) == 4 ? 5e-3 : 1e-6;
  this->check_gradient(
      "type: 'SpatialTransformer' st_param { output_H: 3 output_W: 3 theta_1_1: 0.7 "
      "theta_2_1: -0.2 theta_2_3: 0.09 }",
      options);
}

TYPED_TEST(SpatialTransformerLayerTest, Errors) {
  this->add_bottom({2, 1, 3, 3});
  this->add_bottom({2, 6});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'SpatialTransformer' st_param { " + param + " }")
        ->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("transform_type: 'projective'"),
               "'under_test' (SpatialTransformer): knows the transform_type \"affine\"");
  EXPECT_ERROR(set_up("sampler_type: 'bicubic'"), "they are \"affine\" and \"bicubic\"");
  EXPECT_ERROR(set_up("theta_1_1: 1"),
               "theta without its 1 fixed elements, needs the shape 2 x 5; it is 2 6");
  EXPECT_ERROR(set_up("output_H: 0"), "output_H and output_W must be above 0");
  this->bottom[0]->Reshape({2, 9});
  EXPECT_ERROR(set_up(""), "needs four axes");
}

}  // namespace caffe
