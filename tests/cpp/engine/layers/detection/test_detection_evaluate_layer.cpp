#include <random>

#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {

template <typename TypeParam>
class DetectionEvaluateLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef std::vector<double> Values;
  typedef std::vector<Values> Rows;

  void give(const Rows& detections, const Rows& truths) {
    this->bottom.clear();
    this->top.clear();
    add(detections, 7);
    add(truths, 8);
  }
  Rows rows(const string& param) {
    this->forward("type: 'DetectionEvaluate' detection_evaluate_param {" + param + "}");
    return rows_of(*this->top[0]);
  }
  static Rows rows_of(const Blob<typename TypeParam::Dtype>& blob) {
    Rows rows;
    EXPECT_EQ(blob.shape(3), 5);
    for (int i = 0; i < blob.shape(2); ++i) {
      rows.emplace_back(blob.cpu_data() + 5 * i, blob.cpu_data() + 5 * i + 5);
    }
    return rows;
  }
  void expect_rows(const Rows& rows, const Rows& expected) {
    ASSERT_EQ(rows.size(), expected.size());
    for (size_t i = 0; i < rows.size(); ++i) this->expect_near(rows[i], expected[i], 1e-6);
  }

 private:
  void add(const Rows& rows, int length) {
    Values all;
    for (const Values& row : rows) all.insert(all.end(), row.begin(), row.end());
    this->add_bottom({1, 1, static_cast<int>(rows.size()), length}, all);
  }
};
TYPED_TEST_SUITE(DetectionEvaluateLayerTest, DtypesAndDevices);

TYPED_TEST(DetectionEvaluateLayerTest, HandComputed) {
  this->give({{0, 1, .6, .1, .0, .3, .2},   // overlaps the first box by 1 / 3
              {0, 1, .9, .0, .0, .2, .2},   // exact
              {0, 1, .8, .0, .0, .2, .19},  // the same box again
              {0, 2, .7, .5, .5, .9, .9},   // no such class in the image
              {1, 2, .5, .4, .4, .6, .6},   // difficult
              {1, -1, 0, 0, 0, 0, 0}},
             {{0, 1, 0, .0, .0, .2, .2, 0},
              {0, 1, 1, .6, .6, .8, .8, 0},
              {1, 2, 0, .4, .4, .6, .6, 1},
              {-1, 0, 0, 0, 0, 0, 0, 0}});
  const string common = "num_classes: 4 background_label_id: 0 ";
  this->expect_rows(this->rows(common), {{-1, 1, 2, -1, -1},
                                         {-1, 2, 1, -1, -1},
                                         {-1, 3, 0, -1, -1},
                                         {0, 1, .9, 1, 0},
                                         {0, 1, .8, 0, 1},
                                         {0, 1, .6, 0, 1},
                                         {0, 2, .7, 0, 1},
                                         {1, 2, .5, 1, 0}});
  this->expect_rows(this->rows(common + "evaluate_difficult_gt: false overlap_threshold: 0.3"),
                    {{-1, 1, 2, -1, -1},
                     {-1, 2, 0, -1, -1},
                     {-1, 3, 0, -1, -1},
                     {0, 1, .9, 1, 0},
                     {0, 1, .8, 0, 1},
                     {0, 1, .6, 0, 1},
                     {0, 2, .7, 0, 1},
                     {1, 2, .5, 0, 0}});
}

TYPED_TEST(DetectionEvaluateLayerTest, NothingFound) {
  this->give({{0, -1, -1, -1, -1, -1, -1}, {1, -1, -1, -1, -1, -1, -1}},
             {{0, 0, 0, 0, 0, 1, 1, 0}});
  this->expect_rows(this->rows("num_classes: 2 background_label_id: 5"),
                    {{-1, 0, 1, -1, -1}, {-1, 1, 0, -1, -1}});
}

/// Boxes in pixels: (w + 1) (h + 1) for the intersection, w h for the boxes.
TYPED_TEST(DetectionEvaluateLayerTest, PixelsOfEachImage) {
  const TempDir dir;
  write_file(dir / "sizes.txt", "a 10 20\nb 100 200\n\nc 10 20\n");
  const string param = "num_classes: 2 name_size_file: '" + (dir / "sizes.txt") + "'";
  // Widths 4 and 4 of 20, one pixel apart: 4 rows; intersection (3 + 1) (4 + 1) = 20 of 12 more.
  this->give({{0, 1, .9, .05, .0, .25, .4}}, {{0, 1, 0, .0, .0, .2, .4, 0}});
  auto layer = this->forward("type: 'DetectionEvaluate' detection_evaluate_param {" + param + "}");
  this->expect_rows(this->rows_of(*this->top[0]), {{-1, 1, 1, -1, -1}, {0, 1, .9, 1, 0}});
  // The second image is 10 times as large, where the additional pixel matters less: 3 / 5 of 1.05.
  const string strict = param + " overlap_threshold: 0.7";
  this->give({{0, 1, .9, .05, .0, .25, .4}, {1, 1, .8, .05, .0, .25, .4}},
             {{0, 1, 0, .0, .0, .2, .4, 0}, {1, 1, 0, .0, .0, .2, .4, 0}});
  layer = this->forward("type: 'DetectionEvaluate' detection_evaluate_param {" + strict + "}");
  this->expect_rows(this->rows_of(*this->top[0]),
                    {{-1, 1, 2, -1, -1}, {0, 1, .9, 1, 0}, {1, 1, .8, 0, 1}});
  // The next batch begins with the third image, then the data starts again.
  layer->Forward(this->bottom, this->top);
  this->expect_rows(this->rows_of(*this->top[0]),
                    {{-1, 1, 2, -1, -1}, {0, 1, .9, 1, 0}, {1, 1, .8, 1, 0}});
}

/// Every rule again, by search instead of in order.
TYPED_TEST(DetectionEvaluateLayerTest, BruteForce) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> uniform(0, 1);
  typedef std::vector<std::vector<double>> Rows;
  for (int round = 0; round < 20; ++round) {
    Rows detections, truths;
    for (int i = 0; i < 60; ++i) {
      const double x = int(uniform(random) * 8) / 16., y = int(uniform(random) * 8) / 16.;
      const double w = .25 + uniform(random) / 8, h = .25 + uniform(random) / 8;
      const double image = int(uniform(random) * 3), label = 1 + int(uniform(random) * 2);
      if (i % 3 == 0) {
        truths.push_back({image, label, 0, x, y, x + w, y + h, double(i % 2)});
      } else {
        detections.push_back({image, label, float(uniform(random)), x, y, x + w, y + h});
      }
    }
    this->give(detections, truths);
    const Rows rows = this->rows("num_classes: 3 evaluate_difficult_gt: false");
    const auto overlap = [](const double* a, const double* b) {
      const double w = std::max(0., std::min(a[2], b[2]) - std::max(a[0], b[0]));
      const double h = std::max(0., std::min(a[3], b[3]) - std::max(a[1], b[1]));
      return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h);
    };
    const auto truth_of = [&](const std::vector<double>& detection) {
      int best = -1;
      for (size_t t = 0; t < truths.size(); ++t) {
        if (truths[t][0] != detection[0] || truths[t][1] != detection[1]) continue;
        const double now = overlap(&truths[t][3], &detection[3]);
        if (now >= 0.5 && (best < 0 || now > overlap(&truths[best][3], &detection[3]))) {
          best = static_cast<int>(t);
        }
      }
      return best;
    };
    ASSERT_EQ(rows.size(), 2 + detections.size());
    for (size_t r = 2; r < rows.size(); ++r) {
      const auto one = std::find_if(
          detections.begin(), detections.end(),
          [&](const std::vector<double>& d) { return std::fabs(d[2] - rows[r][2]) < 1e-9; });
      ASSERT_NE(one, detections.end());
      const int truth = truth_of(*one);
      bool better = false;  // a detection with a higher score has the same true box
      for (const auto& other : detections) {
        better = better || (other[2] > (*one)[2] && truth >= 0 && truth_of(other) == truth);
      }
      const bool difficult = truth >= 0 && truths[truth][7] != 0;
      EXPECT_EQ(rows[r][3], truth >= 0 && !difficult && !better) << r;
      EXPECT_EQ(rows[r][4], truth < 0 || (!difficult && better)) << r;
      if (r > 2) {
        EXPECT_LE(rows[r - 1][0], rows[r][0]);
      }
    }
  }
}

/// What is not a number is never right, and comes last.
TYPED_TEST(DetectionEvaluateLayerTest, NotANumber) {
  const double nan = std::nan("");
  this->give({{0, 1, nan, 0, 0, 1, 1}, {0, 1, .5, nan, 0, 1, 1}, {0, 1, .4, 0, 0, 1, 1}},
             {{0, 1, 0, 0, 0, 1, 1, 0}});
  const auto rows = this->rows("num_classes: 2");
  ASSERT_EQ(rows.size(), 4u);
  this->expect_near(rows[1], {0, 1, .5, 0, 1}, 1e-6);
  this->expect_near(rows[2], {0, 1, .4, 1, 0}, 1e-6);
  EXPECT_EQ(rows[3][4], 1);
  this->give({{nan, 1, 1, 0, 0, 1, 1}}, {{0, 1, 0, 0, 0, 1, 1, 0}});
  EXPECT_ERROR(this->rows("num_classes: 2"), "a row is of image nan");
  this->give({{0, 1e30, 1, 0, 0, 1, 1}}, {{0, 1, 0, 0, 0, 1, 1, 0}});
  EXPECT_ERROR(this->rows("num_classes: 2"), "a detection has class 1e+30");
}

TYPED_TEST(DetectionEvaluateLayerTest, Errors) {
  const string mine = "layer 'under_test' (DetectionEvaluate): ";
  this->give({{0, 1, .9, 0, 0, 1, 1}}, {{0, 1, 0, 0, 0, 1, 1, 0}});
  EXPECT_ERROR(this->rows(""), mine + "detection_evaluate_param.num_classes is 0");
  EXPECT_ERROR(this->rows("num_classes: 4000000000"), "num_classes is 4000000000");
  EXPECT_ERROR(this->rows("num_classes: 1"), mine + "a true box has class 1, but num_classes is 1");
  EXPECT_ERROR(this->rows("num_classes: 3 background_label_id: 1"), "background_label_id");
  EXPECT_ERROR(this->rows("num_classes: 3 overlap_threshold: 0"), "overlap_threshold");
  EXPECT_ERROR(this->rows("num_classes: 3 name_size_file: 'none'"), "'none' cannot be read");
  std::swap(this->bottom[0], this->bottom[1]);
  EXPECT_ERROR(this->rows("num_classes: 3"), "the detections (bottom 0)");
}

}  // namespace caffe
