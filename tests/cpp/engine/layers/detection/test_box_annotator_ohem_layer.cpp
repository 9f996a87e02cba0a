#include <cmath>

#include "layers/detection/regions.hpp"

namespace caffe {

template <typename TypeParam>
class BoxAnnotatorOHEMLayerTest : public RegionsTest<TypeParam> {
 protected:
  static std::string text(const std::string& param) {
    return "type: 'BoxAnnotatorOHEM' box_annotator_ohem_param { " + param + " }";
  }
  /// Five regions, of images 0, 1, 0, 0, 1, with labels 1 to 5 and two weights each.
  void add_five(const std::vector<double>& losses) {
    this->add_regions(
        {{0, 0, 0, 1, 1}, {1, 0, 0, 1, 1}, {0, 0, 0, 1, 1}, {0, 0, 0, 1, 1}, {1, 0, 0, 1, 1}});
    this->bottom[0]->Reshape({5, 5, 1, 1});
    this->add_bottom({5, 1, 1, 1}, losses);
    this->add_bottom({5, 1, 1, 1}, {1, 2, 3, 4, 5});
    this->add_bottom({5, 2, 1, 1}, {1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
    this->add_top();
    this->add_top();
  }
};
TYPED_TEST_SUITE(BoxAnnotatorOHEMLayerTest, DtypesAndDevices);

TYPED_TEST(BoxAnnotatorOHEMLayerTest, KeepsTheGreatestLossesOfEachImage) {
  this->add_five({0.5, 0.1, 0.9, 0.7, 0.2});
  this->forward(this->text("roi_per_img: 1"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{5, 1, 1, 1}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{5, 2, 1, 1}));
  this->expect_near(this->data(*this->top[0]), {-1, -1, 3, -1, 5});
  this->expect_near(this->data(*this->top[1]), {0, 0, 0, 0, 3, 3, 0, 0, 5, 5});
  this->forward(this->text("roi_per_img: 2 ignore_label: 255"));
  this->expect_near(this->data(*this->top[0]), {255, 2, 3, 4, 5});
  this->expect_near(this->data(*this->top[1]), {0, 0, 2, 2, 3, 3, 4, 4, 5, 5});
}

TYPED_TEST(BoxAnnotatorOHEMLayerTest, TheFirstOfEqualLossesStaysAndNanIsLast) {
  this->add_five({0.5, NAN, 0.5, 0.5, 0});
  auto layer = this->forward(this->text("roi_per_img: 1"));
  this->expect_near(this->data(*this->top[0]), {1, -1, -1, -1, 5});
  this->backward(*layer, {true, true, false, true});
  for (const int b : {0, 1, 3}) {
    this->expect_near(this->diff(*this->bottom[b]),
                      std::vector<double>(this->bottom[b]->count(), 0));
  }
  EXPECT_FALSE(layer->AllowForceBackward(1));
}

TYPED_TEST(BoxAnnotatorOHEMLayerTest, PlacesOfMaps) {
  // Two items of 1 x 2 places; the image of place (n, w) is n.
  this->add_bottom({2, 5, 1, 2}, {0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9});
  this->add_bottom({2, 1, 1, 2}, {1, 2, 4, 3});
  this->add_bottom({2, 1, 1, 2}, {1, 2, 3, 4});
  this->add_bottom({2, 2, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  this->add_top();
  this->add_top();
  auto layer = this->forward(this->text("roi_per_img: 1"));
  this->expect_near(this->data(*this->top[0]), {-1, 2, 3, -1});
  this->expect_near(this->data(*this->top[1]), {0, 2, 0, 4, 5, 0, 7, 0});
  for (auto* blob : this->bottom) blob->Reshape({0, blob->shape(1), 1, 2});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{0, 2, 1, 2}));
}

TYPED_TEST(BoxAnnotatorOHEMLayerTest, Errors) {
  this->add_five({1, 2, 3, 4, 5});
  EXPECT_ERROR(this->make("type: 'BoxAnnotatorOHEM'")->SetUp(this->bottom, this->top),
               "'under_test' (BoxAnnotatorOHEM): box_annotator_ohem_param needs roi_per_img");
  auto layer = this->make(this->text("roi_per_img: 2"));
  layer->SetUp(this->bottom, this->top);
  this->bottom[0]->mutable_cpu_data()[5] = NAN;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "place 1 of bottom 0 is of image");
  this->bottom[2]->Reshape({5, 2, 1, 1});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "bottom 2 is 5 2 1 1");
}

}  // namespace caffe
