#include <cmath>
#include <numeric>

#include "layers/detection/regions.hpp"

namespace caffe {

template <typename TypeParam>
class ROIPoolingLayerTest : public RegionsTest<TypeParam> {
 protected:
  static constexpr const char* kTwo =
      "type: 'ROIPooling' roi_pooling_param { pooled_h: 2 pooled_w: 2 }";

  /// The rule as written, in double; pooled sizes must be powers of 2, for which floats are exact.
  std::vector<double> reference(int pooled_h, int pooled_w, double scale) const {
    const auto& maps = *this->bottom[0];
    std::vector<double> y;
    for (int r = 0; r < this->bottom[1]->shape(0); ++r) {
      const auto* const roi = this->bottom[1]->cpu_data() + 5 * r;
      int at[5] = {static_cast<int>(roi[0])};
      for (int k = 1; k < 5; ++k) at[k] = static_cast<int>(std::round(roi[k] * scale));
      const double bin_w = std::max(at[3] - at[1] + 1, 1) / double(pooled_w);
      const double bin_h = std::max(at[4] - at[2] + 1, 1) / double(pooled_h);
      for (int c = 0; c < maps.shape(1); ++c) {
        for (int ph = 0; ph < pooled_h; ++ph) {
          for (int pw = 0; pw < pooled_w; ++pw) {
            const auto inside = [&](int h, int w) {
              return h >= at[2] + std::floor(ph * bin_h) &&
                     h < at[2] + std::ceil((ph + 1) * bin_h) &&
                     w >= at[1] + std::floor(pw * bin_w) && w < at[1] + std::ceil((pw + 1) * bin_w);
            };
            y.push_back(this->largest(maps, at[0], c, inside));
          }
        }
      }
    }
    return y;
  }
};
TYPED_TEST_SUITE(ROIPoolingLayerTest, DtypesAndDevices);

TYPED_TEST(ROIPoolingLayerTest, Values) {
  std::vector<double> counted(16);
  std::iota(counted.begin(), counted.end(), 0);
  this->add_bottom({1, 1, 4, 4}, counted);
  this->add_regions({{0, 0, 0, 3, 3}, {0, 1, 1, 3, 3}, {0, 2, 0, 2, 3}});
  this->forward(this->kTwo);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 1, 2, 2}));
  // The second region is 3 x 3: its bins overlap in the middle. The third is one column.
  this->expect_near(this->data(*this->top[0]), {5, 7, 13, 15, 10, 11, 14, 15, 6, 6, 14, 14});
}

TYPED_TEST(ROIPoolingLayerTest, RoundsHalvesAwayFromZero) {
  this->add_bottom({1, 1, 1, 4}, {4, 3, 2, 1});
  // Times 0.5: columns 0.5 to 0.5 become 1; -0.5 becomes -1, off the map; 2.5 becomes 3.
  this->add_regions({{0, 1, 0, 1, 0}, {0, -1, 0, -1, 0}, {0, 5, 0, 5, 0}});
  this->forward(
      "type: 'ROIPooling' roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 0.5 }");
  this->expect_near(this->data(*this->top[0]), {3, 0, 1});
}

TYPED_TEST(ROIPoolingLayerTest, OddRegions) {
  this->add_bottom({2, 1, 2, 2}, {1, -2, -3, -4, 5, 6, 7, 8});
  // Ends before it begins: one value. Off the map, far off it, larger than it.
  this->add_regions({{1, 1, 1, 0, 0},
                     {0, 5, 5, 9, 9},
                     {1, -3e9, 0, 3e9, 1},
                     {0, -9, -9, -8, -8},
                     {0, 1, 0, 2, 0}});
  auto layer = this->forward("type: 'ROIPooling' roi_pooling_param { pooled_h: 1 pooled_w: 1 }");
  this->expect_near(this->data(*this->top[0]), {8, 0, 8, 0, -2});
  this->backward(*layer, {true, false});
  this->expect_near(this->diff(*this->bottom[0]), {0, 1, 0, 0, 0, 0, 0, 2});
}

TYPED_TEST(ROIPoolingLayerTest, TheFirstOfEqualValuesTakesTheGradient) {
  this->add_bottom({1, 1, 2, 2}, {3, 3, 3, 1});
  this->add_regions({{0, 0, 0, 1, 1}, {0, 0, 1, 1, 1}, {0, 0, 0, 1, 1}});
  auto layer = this->forward("type: 'ROIPooling' roi_pooling_param { pooled_h: 1 pooled_w: 1 }");
  this->backward(*layer, {true, true});
  this->expect_near(this->diff(*this->bottom[0]), {2, 0, 1, 0});
  this->expect_near(this->diff(*this->bottom[1]), std::vector<double>(15, 0));
}

TYPED_TEST(ROIPoolingLayerTest, NanAndInfinity) {
  const double nan = NAN, inf = INFINITY;
  this->add_bottom({1, 1, 1, 6}, {nan, 1, nan, nan, -inf, inf});
  this->add_regions({{0, 0, 0, 1, 0}, {0, 2, 0, 3, 0}, {0, 4, 0, 4, 0}, {0, 0, 0, 5, 0}});
  auto layer = this->forward("type: 'ROIPooling' roi_pooling_param { pooled_h: 1 pooled_w: 1 }");
  const std::vector<double> y = this->data(*this->top[0]);
  EXPECT_EQ(y[0], 1);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], -inf);
  EXPECT_EQ(y[3], inf);
  this->backward(*layer, {true, false});
  this->expect_near(this->diff(*this->bottom[0]), {0, 1, 1, 0, 1, 1});
}

TYPED_TEST(ROIPoolingLayerTest, MatchesTheRule) {
  this->add_bottom({2, 3, 9, 13});
  this->add_random_regions(25, 2, 260, 180);
  this->forward(
      "type: 'ROIPooling' roi_pooling_param { pooled_h: 2 pooled_w: 4 spatial_scale: 0.0625 }");
  this->expect_near(this->data(*this->top[0]), this->reference(2, 4, 0.0625));
}

TYPED_TEST(ROIPoolingLayerTest, FollowsItsBottoms) {
  this->add_bottom({1, 2, 6, 5});
  this->add_random_regions(3, 1, 5, 6);
  const char* const text = "type: 'ROIPooling' roi_pooling_param { pooled_h: 2 pooled_w: 2 }";
  auto layer = this->forward(text);
  for (const int images : {3, 1}) {
    this->bottom[0]->Reshape({images, 2, 8, 7});
    this->fill_random(this->bottom[0], 5);
    this->bottom[1]->Reshape({4 * images - 4, 5, 1, 1});  // none in the end
    this->fill_regions(images, 7, 8);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{4 * images - 4, 2, 2, 2}));
    this->expect_near(this->data(*this->top[0]), this->reference(2, 2, 1));
  }
  this->backward(*layer, {true, false});
  this->expect_near(this->diff(*this->bottom[0]), std::vector<double>(2 * 8 * 7, 0));
}

TYPED_TEST(ROIPoolingLayerTest, Gradient) {
  this->add_bottom({2, 2, 5, 6}, this->apart(2 * 2 * 5 * 6));
  this->add_random_regions(6, 2, 24, 20);
  this->check_gradient(
      "type: 'ROIPooling' roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.25 }");
}

TYPED_TEST(ROIPoolingLayerTest, Errors) {
  this->add_bottom({2, 1, 3, 3});
  this->add_regions({{0, 0, 0, 1, 1}, {2, 0, 0, 1, 1}});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'ROIPooling' roi_pooling_param { " + param + " }")
        ->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("pooled_h: 2"), "needs pooled_h and pooled_w, from 1 to 1024");
  EXPECT_ERROR(set_up("pooled_h: 2 pooled_w: 4000000000"), "they are 2 and 4000000000");
  EXPECT_ERROR(set_up("pooled_h: 2 pooled_w: 2 spatial_scale: nan"), "spatial_scale is");
  auto layer = this->make(this->kTwo);
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(
      layer->Forward(this->bottom, this->top),
      "'under_test' (ROIPooling): region 1 of bottom 1 is of image 2, and the batch has 2");
  this->bottom[1]->mutable_cpu_data()[5] = -1;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "is of image -1");
  this->bottom[1]->mutable_cpu_data()[5] = NAN;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "is of image ");
  this->bottom[1]->mutable_cpu_data()[2] = INFINITY;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "region 0 of bottom 1 has the coordinate");
  this->bottom[1]->Reshape({2, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "needs five values for each");
  this->bottom[0]->Reshape({2, 9});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "needs four axes");
  EXPECT_TRUE(layer->AllowForceBackward(0));
  EXPECT_FALSE(layer->AllowForceBackward(1));
}

}  // namespace caffe
