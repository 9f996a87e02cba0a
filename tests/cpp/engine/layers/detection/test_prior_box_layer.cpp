#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class PriorBoxLayerTest : public LayerTest<TypeParam> {
 protected:
  void set_up_bottoms(const std::vector<int>& map, const std::vector<int>& image) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom(map);
    this->add_bottom(image);
    this->add_top();
  }
  std::shared_ptr<Layer<typename TypeParam::Dtype>> priors(const std::string& param) {
    return this->forward("type: 'PriorBox' prior_box_param { " + param + " }");
  }
  /// Box `i` in pixels: centre and size.
  std::vector<double> box(int i, double height, double width) const {
    const std::vector<double> all = this->data(*this->top[0]);
    const double* const b = all.data() + 4 * i;
    return {(b[0] + b[2]) / 2 * width, (b[1] + b[3]) / 2 * height, (b[2] - b[0]) * width,
            (b[3] - b[1]) * height};
  }
};
TYPED_TEST_SUITE(PriorBoxLayerTest, DtypesAndDevices);

TYPED_TEST(PriorBoxLayerTest, ValuesByHand) {
  this->set_up_bottoms({2, 8, 2, 4}, {2, 3, 20, 80});
  this->priors(
      "min_size: 4 max_size: 9 aspect_ratio: 4 flip: true variance: 0.1 variance: 0.3 "
      "variance: 0.2 variance: 0.4");
  ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{1, 2, 2 * 4 * 4 * 4}));
  const double sizes[4][2] = {{4, 4}, {6, 6}, {8, 2}, {2, 8}};
  for (int cell = 0; cell < 8; ++cell) {
    for (int k = 0; k < 4; ++k) {
      const double x = (cell % 4 + 0.5) * 20, y = (cell / 4 + 0.5) * 10;
      this->expect_near(this->box(cell * 4 + k, 20, 80), {x, y, sizes[k][0], sizes[k][1]}, 2e-5);
    }
  }
  const std::vector<double> all = this->data(*this->top[0]);
  for (size_t i = all.size() / 2; i < all.size(); i += 4) {
    EXPECT_NEAR(all[i], 0.1, 1e-7);
    EXPECT_NEAR(all[i + 1], 0.3, 1e-7);
    EXPECT_NEAR(all[i + 2], 0.2, 1e-7);
    EXPECT_NEAR(all[i + 3], 0.4, 1e-7);
  }
}

TYPED_TEST(PriorBoxLayerTest, OneVarianceOrNoneIsForAll) {
  this->set_up_bottoms({1, 1, 1, 1}, {1, 1, 10, 10});
  this->priors("min_size: 4");
  this->expect_near(this->data(*this->top[0]), {0.3, 0.3, 0.7, 0.7, 0.1, 0.1, 0.1, 0.1}, 1e-7);
  this->priors("min_size: 4 variance: 0.25");
  this->expect_near(this->data(*this->top[0]), {0.3, 0.3, 0.7, 0.7, 0.25, 0.25, 0.25, 0.25}, 1e-7);
}

TYPED_TEST(PriorBoxLayerTest, WhichAspectRatiosThereAre) {
  this->set_up_bottoms({1, 1, 1, 1}, {1, 1, 100, 100});
  const auto widths = [&](const std::string& param) {
    this->priors("min_size: 10 " + param);
    std::vector<double> found;
    for (int i = 0; i < this->top[0]->count() / 8; ++i) {
      const double width = this->box(i, 100, 100)[2];
      found.push_back(std::round(width * width) / 100);  // the ratio
    }
    return found;
  };
  using Ratios = std::vector<double>;
  EXPECT_EQ(widths(""), (Ratios{1}));
  EXPECT_EQ(widths("aspect_ratio: 2 aspect_ratio: 0.5"), (Ratios{1, 2, 0.5}));
  EXPECT_EQ(widths("aspect_ratio: 2 aspect_ratio: 0.5 flip: false"), (Ratios{1, 2, 0.5}));
  EXPECT_EQ(widths("aspect_ratio: 1 aspect_ratio: 2 aspect_ratio: 2 flip: false"), (Ratios{1, 2}));
  EXPECT_EQ(widths("aspect_ratio: 4 aspect_ratio: 0.26"), (Ratios{1, 4, 0.25, 0.26, 3.85}));
}

TYPED_TEST(PriorBoxLayerTest, SeveralSizes) {
  this->set_up_bottoms({1, 1, 1, 1}, {1, 1, 100, 100});
  this->priors(
      "min_size: 10.7 min_size: 20 max_size: 40.9 max_size: 45 aspect_ratio: 4 flip: false");
  const double sizes[][2] = {{10, 10}, {20, 20}, {20, 5}, {20, 20}, {30, 30}, {40, 10}};
  ASSERT_EQ(this->top[0]->count() / 8, 6);  // 10.7 and 40.9 count as 10 and 40
  for (int k = 0; k < 6; ++k) {
    this->expect_near(this->box(k, 100, 100), {50, 50, sizes[k][0], sizes[k][1]}, 2e-5);
  }
}

TYPED_TEST(PriorBoxLayerTest, StepsOffsetsAndImageSizes) {
  this->set_up_bottoms({1, 1, 2, 3}, {1, 1, 50, 60});
  this->priors("min_size: 2 step: 8 offset: 0.25");
  this->expect_near(this->box(5, 50, 60), {2.25 * 8, 1.25 * 8, 2, 2}, 2e-5);
  this->priors("min_size: 2 step_h: 8 step_w: 9");
  this->expect_near(this->box(5, 50, 60), {2.5 * 9, 1.5 * 8, 2, 2}, 2e-5);
  this->priors("min_size: 2 img_size: 30");
  this->expect_near(this->box(5, 30, 30), {25, 22.5, 2, 2}, 2e-5);
  this->priors("min_size: 2 img_h: 40 img_w: 90");
  this->expect_near(this->box(5, 40, 90), {75, 30, 2, 2}, 2e-5);
}

TYPED_TEST(PriorBoxLayerTest, ClipsIfAsked) {
  this->set_up_bottoms({1, 1, 1, 1}, {1, 1, 10, 10});
  this->priors("min_size: 12");
  EXPECT_NEAR(this->top[0]->cpu_data()[0], -0.1, 1e-7);
  this->priors("min_size: 12 clip: true");
  this->expect_near(this->data(*this->top[0]), {0, 0, 1, 1, 0.1, 0.1, 0.1, 0.1}, 1e-7);
}

TYPED_TEST(PriorBoxLayerTest, ReshapesAndHasNoGradient) {
  this->set_up_bottoms({1, 1, 1, 1}, {1, 1, 10, 10});
  auto layer = this->priors("min_size: 4");
  this->bottom[0]->Reshape({3, 2, 5, 4});
  this->bottom[1]->Reshape({3, 2, 100, 40});
  layer->Reshape(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(2), 80);
  this->expect_near(this->box(19, 100, 40), {35, 90, 4, 4}, 2e-5);
  std::fill_n(this->bottom[0]->mutable_cpu_diff(), this->bottom[0]->count(), 7);
  layer->Backward(this->top, {true, false}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(this->bottom[0]->count(), 0));
}

TYPED_TEST(PriorBoxLayerTest, Errors) {
  this->set_up_bottoms({1, 1, 1, 1}, {1, 1, 10, 10});
  EXPECT_ERROR(this->priors(""), "'under_test' (PriorBox): needs at least one min_size");
  EXPECT_ERROR(this->priors("min_size: 0"), "min_size is 0, and must be 1 pixel or more");
  EXPECT_ERROR(this->priors("min_size: 4 min_size: 5 max_size: 8"), "a max_size for each");
  EXPECT_ERROR(this->priors("min_size: 4 max_size: 4"), "greater than its min_size, 4");
  EXPECT_ERROR(this->priors("min_size: 4 aspect_ratio: 0"), "aspect_ratio is 0");
  EXPECT_ERROR(this->priors("min_size: 4 variance: 1 variance: 2"), "has 2 variances");
  EXPECT_ERROR(this->priors("min_size: 4 variance: -1"), "variance is -1");
  EXPECT_ERROR(this->priors("min_size: 4 img_size: 3 img_h: 3 img_w: 3"), "has img_size, and");
  EXPECT_ERROR(this->priors("min_size: 4 img_h: 3"), "only one of img_h and img_w");
  EXPECT_ERROR(this->priors("min_size: 4 step: 3 step_h: 3"), "has step, and");
  EXPECT_ERROR(this->priors("min_size: 4 step_w: 3"), "only one of step_h and step_w");
  EXPECT_ERROR(this->priors("min_size: 4 step: 0"), "must be greater than 0");
  EXPECT_ERROR(this->priors("min_size: 4 reduce_boxes: true"), "reduce_boxes is not built");
  EXPECT_ERROR(this->priors("min_size: 4 variance: inf"), "variance is inf");
  EXPECT_ERROR(this->priors("min_size: nan"), "min_size is nan");
  EXPECT_ERROR(this->priors("min_size: 4 aspect_ratio: inf"), "aspect_ratio is inf");
  EXPECT_ERROR(this->priors("min_size: 4 offset: nan"), "must be finite numbers");
  this->bottom[1]->Reshape({1, 1, 0, 3});
  EXPECT_ERROR(this->priors("min_size: 4"), "the image, bottom 1, has no pixels");
  this->bottom[0]->Reshape({1, 0, 65535, 32767});
  this->bottom[1]->Reshape({1, 0, 3, 3});
  EXPECT_ERROR(this->priors("min_size: 4"), "more than a blob can hold");
  this->bottom[0]->Reshape({2, 3});
  EXPECT_ERROR(this->priors("min_size: 4"), "four axes");
}

}  // namespace caffe
