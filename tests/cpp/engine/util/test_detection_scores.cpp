#include "caffe/util/detection_scores.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "fixtures.hpp"

namespace caffe {
namespace {

void add(DetectionScores* scores, const std::vector<std::vector<float>>& rows) {
  Blob<float> blob(1, 1, static_cast<int>(rows.size()), 5);
  float* to = blob.mutable_cpu_data();
  for (const std::vector<float>& row : rows) to = std::copy(row.begin(), row.end(), to);
  scores->add(blob);
}

double ap(const DetectionScores& scores, const string& version, int label) {
  return scores.average_precisions(ap_version_of(version)).at(label);
}

/// Class 1: five true boxes in two batches; by score true, false, true, true, (neither), false.
DetectionScores example() {
  DetectionScores scores;
  add(&scores, {{-1, 1, 2, -1, -1},
                {-1, 2, 1, -1, -1},
                {-1, 3, 0, -1, -1},
                {0, 1, .8f, 0, 1},
                {0, 1, .7f, 1, 0},
                {1, 1, .1f, 0, 1}});
  add(&scores, {{-1, 1, 3, -1, -1},
                {-1, 2, 0, -1, -1},
                {-1, 3, 0, -1, -1},
                {0, 1, .9f, 1, 0},
                {0, 1, .2f, 0, 0},
                {0, 1, .5f, 1, 0},
                {0, 3, .5f, 0, 1}});
  return scores;
}

TEST(DetectionScores, HandComputed) {
  const DetectionScores scores = example();
  // precision 1, 1/2, 2/3, 3/4, 3/5 at recall .2, .2, .4, .6, .6
  EXPECT_NEAR(ap(scores, "Integral", 1), .2 + .2 * 2 / 3 + .2 * 3 / 4, 1e-12);
  EXPECT_NEAR(ap(scores, "MaxIntegral", 1), .2 + .4 * 3 / 4, 1e-12);
  // recalls 0, .1, .2 have precision 1; .3 to .6 have 3/4
  EXPECT_NEAR(ap(scores, "11point", 1), (3 + 4 * .75) / 11, 1e-12);
  for (const string version : {"Integral", "MaxIntegral", "11point"}) {
    EXPECT_EQ(ap(scores, version, 2), 0);  // not found
    EXPECT_EQ(ap(scores, version, 3), 0);  // without objects
    EXPECT_NEAR(scores.mean(ap_version_of(version)), ap(scores, version, 1) / 3, 1e-12);
  }
  EXPECT_EQ(scores.classes_without_objects(), (std::vector<int>{3}));
}

TEST(DetectionScores, AllFoundAndNothing) {
  DetectionScores scores;
  EXPECT_EQ(scores.mean(ApVersion::kIntegral), 0);
  add(&scores, {{-1, 4, 2, -1, -1}, {0, 4, .5f, 1, 0}, {0, 4, .4f, 1, 0}});
  for (const string version : {"Integral", "MaxIntegral", "11point"}) {
    EXPECT_NEAR(scores.mean(ap_version_of(version)), 1, 1e-12) << version;
  }
}

TEST(DetectionScores, Errors) {
  EXPECT_ERROR(ap_version_of("integral"), "give 11point, MaxIntegral or Integral");
  DetectionScores scores;
  const Blob<float> flat(std::vector<int>{2, 5});
  EXPECT_ERROR(scores.add(flat), "DetectionEvaluate");
}

}  // namespace
}  // namespace caffe
