#include <algorithm>
#include <cmath>
#include <numeric>

#include "caffe/layers/detection/anchors.hpp"
#include "layers/detection/regions.hpp"

namespace caffe {

TEST(AnchorsTest, AreThoseOfFasterRcnn) {
  const auto anchors = make_anchors<double>(16, {0.5, 1, 2}, {8, 16, 32});
  const double expected[9][4] = {
      {-84, -40, 99, 55}, {-176, -88, 191, 103},  {-360, -184, 375, 199},
      {-56, -56, 71, 71}, {-120, -120, 135, 135}, {-248, -248, 263, 263},
      {-36, -80, 51, 95}, {-80, -168, 95, 183},   {-168, -344, 183, 359}};
  ASSERT_EQ(anchors.size(), 9u);
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(anchors[i].x1, expected[i][0]) << i;
    EXPECT_EQ(anchors[i].y1, expected[i][1]) << i;
    EXPECT_EQ(anchors[i].x2, expected[i][2]) << i;
    EXPECT_EQ(anchors[i].y2, expected[i][3]) << i;
  }
}

TEST(AnchorsTest, OverlapsAreSuppressedInOrder) {
  // Of 10 x 10 pixels; the second shares 5 x 10 with the first: 50 / 150.
  const std::vector<PixelBox<double>> boxes = {
      {0, 0, 9, 9}, {5, 0, 14, 9}, {10, 0, 19, 9}, {0, 0, 9, 9}};
  EXPECT_EQ(suppress_overlaps(boxes, 0.33, 9), (std::vector<int>{0, 2}));
  EXPECT_EQ(suppress_overlaps(boxes, 0.34, 9), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(suppress_overlaps(boxes, 1., 9), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(suppress_overlaps(boxes, 1., 2), (std::vector<int>{0, 1}));
}

template <typename TypeParam>
class ProposalLayerTest : public RegionsTest<TypeParam> {
 public:
  using typename RegionsTest<TypeParam>::Dtype;

 protected:
  /// One anchor of 4 x 4 pixels, (0, 0) to (3, 3) at the first place.
  static std::string one(const std::string& more) {
    return "type: 'Proposal' proposal_param { feat_stride: 4 base_size: 4 ratio: 1 scale: 1 " +
           more + " }";
  }
  /// Maps 1 x width of that anchor with these scores of objects, no deltas, an image of 50 x 100.
  void add_row(const std::vector<double>& scores) {
    const int width = static_cast<int>(scores.size());
    std::vector<double> both(width, 0.125);
    both.insert(both.end(), scores.begin(), scores.end());
    this->add_bottom({1, 2, 1, width}, both);
    this->add_bottom({1, 4, 1, width}, std::vector<double>(4 * width, 0));
    this->add_bottom({1, 3}, {50, 100, 1});
    this->add_top();
    this->add_top();
  }
  struct Found {
    double score, box[4];
    int order;
  };
  static double overlap(const double* a, const double* b) {
    const double w = std::max(0., std::min(a[2], b[2]) - std::max(a[0], b[0]) + 1);
    const double h = std::max(0., std::min(a[3], b[3]) - std::max(a[1], b[1]) + 1);
    const auto area = [](const double* x) { return (x[2] - x[0] + 1) * (x[3] - x[1] + 1); };
    return w * h / (area(a) + area(b) - w * h);
  }
  /// Boxes of an image by the rule, in double; base_size 8, stride 8, ratios and scales as given.
  std::vector<Found> reference(int image, const std::vector<double>& ratios,
                               const std::vector<double>& scales, double min_size) const {
    const auto &scores = *this->bottom[0], &deltas = *this->bottom[1], &info = *this->bottom[2];
    const int count = static_cast<int>(ratios.size() * scales.size());
    const double rows = info.data_at({image, 0}), columns = info.data_at({image, 1});
    std::vector<Found> all;
    for (int h = 0; h < scores.shape(2); ++h) {
      for (int w = 0; w < scores.shape(3); ++w) {
        for (int a = 0; a < count; ++a) {
          const double ratio = ratios[a / scales.size()], scale = scales[a % scales.size()];
          const double plain = std::floor(std::sqrt(64 / ratio) + 0.5);
          const double width = plain * scale, height = std::floor(plain * ratio + 0.5) * scale;
          const auto delta = [&](int k) { return deltas.data_at({image, 4 * a + k, h, w}); };
          const double left = 8 * w + 3.5 - (width - 1) / 2, above = 8 * h + 3.5 - (height - 1) / 2;
          const double x = left + width / 2 + delta(0) * width;
          const double y = above + height / 2 + delta(1) * height;
          const double half_w = std::exp(delta(2)) * width / 2;
          const double half_h = std::exp(delta(3)) * height / 2;
          Found found = {scores.data_at({image, count + a, h, w}),
                         {x - half_w, y - half_h, x + half_w, y + half_h},
                         static_cast<int>(all.size())};
          for (int k = 0; k < 4; ++k) {
            const double end = (k % 2 == 0 ? columns : rows) - 1;
            found.box[k] = std::min(std::max(found.box[k], 0.), end);
          }
          if (found.box[2] - found.box[0] + 1 < min_size * info.data_at({image, 3}) ||
              found.box[3] - found.box[1] + 1 < min_size * info.data_at({image, 2})) {
            found.score = 0;
          }
          all.push_back(found);
        }
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Found& a, const Found& b) { return a.score > b.score; });
    return all;
  }
};
TYPED_TEST_SUITE(ProposalLayerTest, DtypesAndDevices);

TYPED_TEST(ProposalLayerTest, SortsAndSuppresses) {
  this->add_row({0.5, 0.9, 0.7});
  // Neighbours share one column: 5 of 45 pixels.
  this->forward(this->one("min_size: 1"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 5}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{3}));
  this->expect_near(this->data(*this->top[0]), {0, 4, 0, 8, 4, 0, 8, 0, 12, 4, 0, 0, 0, 4, 4});
  this->expect_near(this->data(*this->top[1]), {0.9, 0.7, 0.5}, 1e-6);
  this->forward(this->one("min_size: 1 nms_thresh: 0.1"));
  this->expect_near(this->data(*this->top[0]), {0, 4, 0, 8, 4});
  this->forward(this->one("min_size: 1 post_nms_topn: 2"));
  this->expect_near(this->data(*this->top[1]), {0.9, 0.7}, 1e-6);
  this->forward(this->one("min_size: 1 pre_nms_topn: 1"));
  this->expect_near(this->data(*this->top[1]), {0.9}, 1e-6);
}

TYPED_TEST(ProposalLayerTest, MovesAndCuts) {
  this->add_row({0.5, 0.25});
  // The first: centre 2 + 0.5 * 4 = 4 and 2 - 0.25 * 4 = 1, 4 * 2 wide and 4 high; cut above. The
  // second as large as can be: the image.
  const std::vector<double> deltas = {0.5, 0, -0.25, 0, std::log(2.), 1e4, 0, 1e4};
  std::copy(deltas.begin(), deltas.end(), this->bottom[1]->mutable_cpu_data());
  this->forward(this->one("min_size: 1"));
  this->expect_near(this->data(*this->top[0]), {0, 0, 0, 8, 3, 0, 0, 0, 99, 49});
}

TYPED_TEST(ProposalLayerTest, SmallBoxesAndNanComeLast) {
  this->add_row({0.5, NAN, 0.25, 0.75});
  auto* const deltas = this->bottom[1]->mutable_cpu_data();
  deltas[2 * 4 + 3] = std::log(0.5);  // log dw: 2 + 1 wide
  deltas[2 * 4 + 0] = NAN;
  this->forward(this->one("min_size: 4"));
  this->expect_near(this->data(*this->top[1]), {0.25, 0, 0, 0});
  this->expect_near(this->data(*this->top[0]), {0, 8, 0, 12, 4, 0, 0,  0, 0,  4,  //
                                                0, 4, 0, 8,  4, 0, 13, 0, 15, 4});
}

TYPED_TEST(ProposalLayerTest, FirstOfEqualScoresComesFirst) {
  this->add_row(std::vector<double>(40, 0.5));
  this->bottom[2]->mutable_cpu_data()[1] = 1000;
  this->forward(this->one("min_size: 1 pre_nms_topn: 30"));
  ASSERT_EQ(this->top[0]->shape(0), 30);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(this->top[0]->cpu_data()[5 * i + 1], 4 * i) << i;
}

TYPED_TEST(ProposalLayerTest, MatchesTheRule) {
  const std::vector<double> ratios = {0.5, 1, 2}, scales = {1, 2.5};
  this->add_bottom({2, 12, 5, 6}, 0, 1);
  this->add_bottom({2, 24, 5, 6}, -0.5, 0.5);
  this->add_bottom({2, 4}, {38, 50, 1, 1.5, 30, 44, 0.5, 0.75});
  this->add_top();
  this->add_top();
  this->forward(
      "type: 'Proposal' proposal_param { feat_stride: 8 base_size: 8 min_size: 9 ratio: [0.5, 1, "
      "2] "
      "scale: [1, 2.5] pre_nms_topn: 100 post_nms_topn: 20 nms_thresh: 0.5 }");
  std::vector<double> boxes, scores;
  for (int image = 0; image < 2; ++image) {
    const auto all = this->reference(image, ratios, scales, 9);
    std::vector<const double*> kept;
    for (int i = 0; i < 100 && kept.size() < 20; ++i) {
      const bool free = std::none_of(kept.begin(), kept.end(), [&](const double* k) {
        return this->overlap(k, all[i].box) > 0.5;
      });
      if (!free) continue;
      kept.push_back(all[i].box);
      boxes.push_back(image);
      boxes.insert(boxes.end(), all[i].box, all[i].box + 4);
      scores.push_back(all[i].score);
    }
  }
  ASSERT_GT(scores.size(), 20u);
  EXPECT_EQ(std::count(scores.begin(), scores.end(), 0.), 0);
  this->expect_near(this->data(*this->top[0]), boxes);
  this->expect_near(this->data(*this->top[1]), scores);
}

TYPED_TEST(ProposalLayerTest, FollowsItsBottoms) {
  this->add_row({0.5, 0.9, 0.7});
  auto layer = this->forward(this->one("min_size: 1"));
  this->bottom[0]->Reshape({3, 2, 2, 2});
  this->bottom[1]->Reshape({3, 4, 2, 2});
  std::fill_n(this->bottom[0]->mutable_cpu_data(), 24, 0.5);
  std::fill_n(this->bottom[1]->mutable_cpu_data(), 48, 0.);
  layer->Forward(this->bottom, this->top);  // one row of sizes for all images
  ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{12, 5}));
  for (int r = 0; r < 12; ++r) EXPECT_EQ(this->top[0]->cpu_data()[5 * r], r / 4);
  this->bottom[0]->Reshape({1, 2, 0, 2});
  this->bottom[1]->Reshape({1, 4, 0, 2});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{0, 5}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{0}));
}

TYPED_TEST(ProposalLayerTest, AnImageWithoutSizeHasOnePixel) {
  this->add_row({0.5, 0.9});
  std::fill_n(this->bottom[2]->mutable_cpu_data(), 3, 0.);
  this->forward(this->one(""));
  this->expect_near(this->data(*this->top[0]), {0, 0, 0, 0, 0});
}

TYPED_TEST(ProposalLayerTest, GradientIsZero) {
  this->add_row({0.5, 0.9});
  auto layer = this->forward(this->one("min_size: 1"));
  this->backward(*layer, {true, true, false});
  this->expect_near(this->diff(*this->bottom[0]), std::vector<double>(4, 0));
  this->expect_near(this->diff(*this->bottom[1]), std::vector<double>(8, 0));
  EXPECT_FALSE(layer->AllowForceBackward(0));
}

TYPED_TEST(ProposalLayerTest, Errors) {
  this->add_row({0.5, 0.9});
  const auto set_up = [&](const std::string& text) {
    this->make(text)->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("type: 'Proposal' proposal_param { ratio: 1 }"),
               "'under_test' (Proposal): proposal_param needs ratio and scale");
  EXPECT_ERROR(set_up("type: 'Proposal' proposal_param { ratio: 0 scale: 1 }"), "all above 0");
  EXPECT_ERROR(set_up(this->one("pre_nms_topn: 0")), "must be from 1 to 1048576; one is 0");
  EXPECT_ERROR(set_up(this->one("scale: 2")),
               "has 2 anchors, so bottom 0, the scores, needs the shape N x 4 x H x W");
  auto layer = this->make(this->one(""));
  layer->SetUp(this->bottom, this->top);
  this->bottom[2]->mutable_cpu_data()[2] = -1;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "value 2 of bottom 2 is -1 for image 0");
  this->bottom[2]->Reshape({1, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "needs 3 or 4 values");
  this->bottom[1]->Reshape({1, 4, 2, 1});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "they are");
}

}  // namespace caffe
