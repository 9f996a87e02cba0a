#include "caffe/layers/detection/boxes.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "fixtures.hpp"

namespace caffe {

namespace {

using D = Box<double>;

std::vector<double> corners(const D& box) {
  return {box.xmin, box.ymin, box.xmax, box.ymax};
}

void expect_corners(const D& box, const std::vector<double>& expected, double tolerance = 1e-12) {
  for (int k = 0; k < 4; ++k)
    EXPECT_NEAR(corners(box)[k], expected[k], tolerance) << "corner " << k;
}

}  // namespace

TEST(BoxesTest, AreasAndOverlaps) {
  const D a = {0, 0, 0.5, 0.5}, b = {0.25, 0.25, 0.75, 0.75}, far = {0.8, 0.8, 1, 1};
  EXPECT_DOUBLE_EQ(box_area(a), 0.25);
  EXPECT_DOUBLE_EQ(box_area(D{0.5, 0, 0.2, 1}), 0);
  EXPECT_DOUBLE_EQ(box_area(D{0, 1, 1, 0.5}), 0);
  expect_corners(box_intersection(a, b), {0.25, 0.25, 0.5, 0.5});
  expect_corners(box_intersection(a, far), {0, 0, 0, 0});
  EXPECT_DOUBLE_EQ(box_overlap(a, b), 0.0625 / 0.4375);
  EXPECT_DOUBLE_EQ(box_overlap(a, a), 1);
  EXPECT_DOUBLE_EQ(box_overlap(a, far), 0);
  EXPECT_DOUBLE_EQ(box_overlap(a, D{0.5, 0, 1, 0.5}), 0);  // they touch
  EXPECT_DOUBLE_EQ(box_overlap(D{0.2, 0.2, 0.2, 0.2}, D{0.2, 0.2, 0.2, 0.2}), 0);
  EXPECT_DOUBLE_EQ(box_coverage(a, b), 0.25);
  EXPECT_DOUBLE_EQ(box_coverage(D{0.1, 0.1, 0.1, 0.2}, b), 0);
}

TEST(BoxesTest, OverlapsInPixels) {
  const D a = {0, 0, 9, 9}, b = {5, 0, 14, 9};
  EXPECT_DOUBLE_EQ(box_overlap(a, b, true), 50. / (81 + 81 - 50));
  EXPECT_DOUBLE_EQ(box_overlap(a, D{10, 0, 12, 9}, true), 0);
  EXPECT_DOUBLE_EQ(box_overlap(a, D{9, 0, 18, 9}, true), 10. / (81 + 81 - 10));  // one column
}

TEST(BoxesTest, Frames) {
  const D frame = {0.2, 0.4, 0.6, 0.9}, box = {0.3, 0.3, 0.7, 0.65};
  const D within = box_within(frame, box);
  expect_corners(within, {0.25, -0.2, 1.25, 0.5});
  expect_corners(clipped(within), {0.25, 0, 1, 0.5});
  expect_corners(box_out_of(frame, within), corners(box));
  EXPECT_ERROR(box_within(D{0.5, 0, 0.5, 1}, box), "frame without area");
}

TEST(BoxesTest, CodesByHand) {
  const D prior = {0.1, 0.2, 0.5, 0.4}, box = {0.2, 0.1, 0.4, 0.5};
  const Offsets<double> v = {0.1, 0.1, 0.2, 0.2};
  const auto expect = [&](const BoxCode& code, const std::vector<double>& offsets) {
    const Offsets<double> found = encode_box(code, prior, v, box);
    for (int k = 0; k < 4; ++k) EXPECT_NEAR(found[k], offsets[k], 1e-12) << k;
    expect_corners(decode_box(code, prior, v, found), corners(box));
  };
  expect({PriorBoxParameter::CORNER, false}, {1, -1, -0.5, 0.5});
  expect({PriorBoxParameter::CORNER, true}, {0.1, -0.1, -0.1, 0.1});
  expect({PriorBoxParameter::CENTER_SIZE, false}, {0, 0, std::log(0.5) / 0.2, std::log(2.) / 0.2});
  expect({PriorBoxParameter::CENTER_SIZE, true}, {0, 0, std::log(0.5), std::log(2.)});
  expect({PriorBoxParameter::CORNER_SIZE, false}, {2.5, -5, -1.25, 2.5});
  expect({PriorBoxParameter::CORNER_SIZE, true}, {0.25, -0.5, -0.25, 0.5});
}

TEST(BoxesTest, SortsByScore) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> scores = {0.1, 0.9, nan, 0.5, 0.9, 0.3};
  EXPECT_EQ(by_score(scores, 0.2, -1), (std::vector<int>{1, 4, 3, 5}));
  EXPECT_EQ(by_score(scores, 0.3, -1), (std::vector<int>{1, 4, 3}));  // greater, not equal
  EXPECT_EQ(by_score(scores, 0.2, 2), (std::vector<int>{1, 4}));
  EXPECT_EQ(by_score(scores, 0.2, 1), (std::vector<int>{1}));
  EXPECT_EQ(by_score(scores, 0.2, 9), (std::vector<int>{1, 4, 3, 5}));
  EXPECT_TRUE(by_score(scores, 0.2, 0).empty());
}

TEST(BoxesTest, Suppresses) {
  // Overlaps: 0 and 1: 0.9/1.1 = 0.818; 0 and 2: 0.6/1.4 = 0.43; 1 and 2: 0.7/1.3 = 0.54.
  const std::vector<D> boxes = {{0, 0, 1, 1}, {0.1, 0, 1.1, 1}, {0.4, 0, 1.4, 1}};
  EXPECT_EQ(suppressed(boxes, {0, 1, 2}, 0.45), (std::vector<int>{0, 2}));
  EXPECT_EQ(suppressed(boxes, {1, 0, 2}, 0.45), (std::vector<int>{1}));
  EXPECT_EQ(suppressed(boxes, {0, 1, 2}, 0.9), (std::vector<int>{0, 1, 2}));
  // eta: after box 0 the threshold is 0.81, which drops box 1 (0.818).
  EXPECT_EQ(suppressed(boxes, {0, 1, 2}, 0.9, 0.9), (std::vector<int>{0, 2}));
  // A threshold of 0.5 or less stays: at 0.25 box 2 would go.
  EXPECT_EQ(suppressed(boxes, {0, 2}, 0.5, 0.5), (std::vector<int>{0, 2}));
  EXPECT_TRUE(suppressed(boxes, {}, 0.5).empty());
}

TEST(BoxesTest, MatchesByHand) {
  const std::vector<D> truths = {{0, 0, 0.4, 0.4}, {0.1, 0, 0.5, 0.4}};
  const std::vector<D> boxes = {
      {0, 0, 0.4, 0.36},      // 0.9 with truth 0, 0.587 with truth 1
      {0.05, 0, 0.45, 0.4},   // 0.778 with both
      {0, 0, 0.4, 0.3},       // 0.75 with truth 0
      {-0.1, 0, 0.3, 0.4},    // 0.6 with truth 0, leaves the image
      {0.5, 0.5, 0.9, 0.9},   // none
      {0.3, 0.3, 0.7, 0.7}};  // 0.01 / 0.31 with truth 0, 0.02 / 0.3 with truth 1
  MatchOptions options;
  options.type = MultiBoxLossParameter::BIPARTITE;
  const BoxMatches<double> pairs = match_boxes(truths, boxes, options);
  EXPECT_EQ(pairs.truth, (std::vector<int>{0, 1, -1, -1, -1, -1}));
  EXPECT_NEAR(pairs.overlap[2], 0.75, 1e-12);
  EXPECT_NEAR(pairs.overlap[5], 0.02 / 0.3, 1e-12);
  EXPECT_EQ(pairs.overlap[4], 0);
  options.type = MultiBoxLossParameter::PER_PREDICTION;
  EXPECT_EQ(match_boxes(truths, boxes, options).truth, (std::vector<int>{0, 1, 0, 0, -1, -1}));
  options.overlap_threshold = 0.7f;
  EXPECT_EQ(match_boxes(truths, boxes, options).truth, (std::vector<int>{0, 1, 0, -1, -1, -1}));
  options.ignore_cross_boundary = true;
  EXPECT_EQ(match_boxes(truths, boxes, options).truth, (std::vector<int>{0, 1, 0, -2, -1, -1}));
  EXPECT_EQ(match_boxes({}, boxes, options).truth, (std::vector<int>{-1, -1, -1, -2, -1, -1}));
}

TEST(BoxesTest, MatchesTiesByTheirIndices) {
  const std::vector<D> truths = {{0, 0, 1, 1}, {0, 0, 1, 1}};
  const std::vector<D> boxes = {{0, 0, 1, 0.5}, {0, 0.5, 1, 1}, {0, 0, 1, 0.5}};
  const BoxMatches<double> matches = match_boxes(truths, boxes, {});
  EXPECT_EQ(matches.truth, (std::vector<int>{0, 1, 0}));
}

/// The rule word by word: the largest of all free pairs, again and again.
BoxMatches<double> slow_match(const std::vector<D>& truths, const std::vector<D>& boxes,
                              double threshold) {
  BoxMatches<double> matches;
  matches.truth.assign(boxes.size(), -1);
  std::vector<bool> free(truths.size(), true);
  for (size_t round = 0; round < truths.size(); ++round) {
    double most = 1e-6;
    int box = -1, truth = -1;
    for (size_t i = 0; i < boxes.size(); ++i) {
      for (size_t g = 0; g < truths.size() && matches.truth[i] == -1; ++g) {
        const double overlap = box_overlap(boxes[i], truths[g]);
        if (!free[g] || overlap <= most) continue;
        most = overlap;
        box = static_cast<int>(i);
        truth = static_cast<int>(g);
      }
    }
    if (box == -1) break;
    matches.truth[box] = truth;
    free[truth] = false;
  }
  for (size_t i = 0; i < boxes.size(); ++i) {
    double most = 0;
    int truth = -1;
    for (size_t g = 0; g < truths.size(); ++g) {
      const double overlap = box_overlap(boxes[i], truths[g]);
      if (overlap > most) truth = static_cast<int>(g), most = overlap;
    }
    if (matches.truth[i] == -1 && truth >= 0 && most >= threshold) matches.truth[i] = truth;
  }
  return matches;
}

TEST(BoxesTest, MatchesAsTheRuleSays) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> at(0, 0.7), size(0.05, 0.5);
  const auto draw = [&](int n) {
    std::vector<D> boxes;
    for (int i = 0; i < n; ++i) {
      const double x = at(random), y = at(random);
      boxes.push_back({x, y, x + size(random), y + size(random)});
    }
    return boxes;
  };
  for (int round = 0; round < 20; ++round) {
    const std::vector<D> truths = draw(round % 7), boxes = draw(40);
    MatchOptions options;
    options.overlap_threshold = 0.3f;
    EXPECT_EQ(match_boxes(truths, boxes, options).truth,
              slow_match(truths, boxes, static_cast<double>(0.3f)).truth);
  }
}

}  // namespace caffe
