#include <cmath>

#include "layers/detection/regions.hpp"

namespace caffe {

template <typename TypeParam>
class PSROIPoolingLayerTest : public RegionsTest<TypeParam> {
 protected:
  static std::string text(double scale, int outputs, int group) {
    return "type: 'PSROIPooling' psroi_pooling_param { spatial_scale: " + std::to_string(scale) +
           " output_dim: " + std::to_string(outputs) + " group_size: " + std::to_string(group) +
           " }";
  }
  /// The rule as written, in double; scale and group must be powers of 2, for which floats are
  /// exact.
  std::vector<double> reference(double scale, int outputs, int group) const {
    std::vector<double> y;
    for (int r = 0; r < this->bottom[1]->shape(0); ++r) {
      const auto* const roi = this->bottom[1]->cpu_data() + 5 * r;
      const double x = std::round(roi[1]) * scale, top = std::round(roi[2]) * scale;
      const double bin_w = std::max((std::round(roi[3]) + 1) * scale - x, 0.1) / group;
      const double bin_h = std::max((std::round(roi[4]) + 1) * scale - top, 0.1) / group;
      for (int c = 0; c < outputs; ++c) {
        for (int ph = 0; ph < group; ++ph) {
          for (int pw = 0; pw < group; ++pw) {
            const auto inside = [&](int h, int w) {
              return h >= std::floor(ph * bin_h + top) && h < std::ceil((ph + 1) * bin_h + top) &&
                     w >= std::floor(pw * bin_w + x) && w < std::ceil((pw + 1) * bin_w + x);
            };
            y.push_back(this->mean(*this->bottom[0], static_cast<int>(roi[0]),
                                   (c * group + ph) * group + pw, inside));
          }
        }
      }
    }
    return y;
  }
};
TYPED_TEST_SUITE(PSROIPoolingLayerTest, DtypesAndDevices);

TYPED_TEST(PSROIPoolingLayerTest, Values) {
  // Four channels of 2 x 4: bin (i, j) of the only output reads channel 2 i + j.
  std::vector<double> x(32);
  for (int i = 0; i < 32; ++i) x[i] = 10 * (i / 8) + i % 8;
  this->add_bottom({1, 4, 2, 4}, x);
  // The whole map; columns round(0.5) = 1 to round(2.4) + 1 = 3, so that each bin has one column.
  this->add_regions({{0, 0, 0, 3, 1}, {0, 0.5, 0, 2.4, 1}});
  this->forward(this->text(1, 1, 2));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 1, 2, 2}));
  this->expect_near(this->data(*this->top[0]), {0.5, 12.5, 24.5, 36.5, 1, 12, 25, 36});
}

TYPED_TEST(PSROIPoolingLayerTest, RoundsBeforeItScales) {
  this->add_bottom({1, 1, 1, 4}, {1, 2, 4, 8});
  // Times 0.25, columns: 0.25 to 0.75 in column 0; 0 to 1.25 in columns 0 and 1; round(4.5) = 5,
  // 1.25 to 1.5 in column 1; ends before it begins: 0.1 wide from 2.5; off the map.
  this->add_regions(
      {{0, 1, 0, 2, 3}, {0, 0, 0, 4, 3}, {0, 4.5, 0, 4.5, 3}, {0, 10, 0, 2, 3}, {0, 20, 0, 30, 3}});
  auto layer = this->forward(this->text(0.25, 1, 1));
  this->expect_near(this->data(*this->top[0]), {1, 1.5, 2, 4, 0});
  this->backward(*layer, {true, true});
  this->expect_near(this->diff(*this->bottom[0]), {1.5, 1.5, 1, 0});
  this->expect_near(this->diff(*this->bottom[1]), std::vector<double>(25, 0));
}

TYPED_TEST(PSROIPoolingLayerTest, MatchesTheRule) {
  this->add_bottom({2, 3 * 4, 9, 13});
  this->add_random_regions(25, 2, 260, 180);
  this->forward(this->text(0.0625, 3, 2));
  this->expect_near(this->data(*this->top[0]), this->reference(0.0625, 3, 2));
}

TYPED_TEST(PSROIPoolingLayerTest, FollowsItsBottoms) {
  this->add_bottom({1, 8, 6, 5});
  this->add_random_regions(3, 1, 5, 6);
  auto layer = this->forward(this->text(1, 2, 2));
  for (const int images : {3, 1}) {
    this->bottom[0]->Reshape({images, 8, 8, 7});
    this->fill_random(this->bottom[0], 5);
    this->bottom[1]->Reshape({4 * images - 4, 5, 1, 1});  // none in the end
    this->fill_regions(images, 7, 8);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{4 * images - 4, 2, 2, 2}));
    this->expect_near(this->data(*this->top[0]), this->reference(1, 2, 2));
  }
  this->backward(*layer, {true, false});
  this->expect_near(this->diff(*this->bottom[0]), std::vector<double>(8 * 8 * 7, 0));
}

TYPED_TEST(PSROIPoolingLayerTest, Gradient) {
  this->add_bottom({2, 2 * 9, 4, 5});
  this->add_random_regions(6, 2, 20, 16);
  this->check_gradient(this->text(0.25, 2, 3));
}

TYPED_TEST(PSROIPoolingLayerTest, Errors) {
  this->add_bottom({1, 8, 3, 3});
  this->add_regions({{1, 0, 0, 1, 1}});
  this->add_top();
  for (const char* const param :
       {"output_dim: 2 group_size: 2", "spatial_scale: 1 group_size: 2",
        "spatial_scale: 1 output_dim: 2", "spatial_scale: 1 output_dim: 2 group_size: -2"}) {
    auto layer =
        this->make("type: 'PSROIPooling' psroi_pooling_param { " + std::string(param) + " }");
    EXPECT_ERROR(layer->SetUp(this->bottom, this->top),
                 "needs spatial_scale, output_dim (> 0) and group_size");
  }
  auto large = this->make(this->text(1, 2000000000, 1000));
  EXPECT_ERROR(large->SetUp(this->bottom, this->top), "group_size^2 = 2000000000000000 channels");
  auto layer = this->make(this->text(1, 2, 2));
  layer->SetUp(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "'under_test' (PSROIPooling): region 0 of bottom 1 is of image 1");
  EXPECT_FALSE(layer->AllowForceBackward(1));
}

}  // namespace caffe
