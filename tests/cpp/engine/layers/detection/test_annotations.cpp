#include "caffe/layers/detection/annotations.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "caffe/common.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {
namespace {

template <typename Message>
Message parsed(const string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

void expect_box(const Box<double>& box, double xmin, double ymin, double xmax, double ymax) {
  EXPECT_NEAR(box.xmin, xmin, 1e-6);
  EXPECT_NEAR(box.ymin, ymin, 1e-6);
  EXPECT_NEAR(box.xmax, xmax, 1e-6);
  EXPECT_NEAR(box.ymax, ymax, 1e-6);
}

TEST(Annotations, ObjectsOfARecord) {
  const auto objects = objects_of(parsed<AnnotatedDatum>(
      "annotation_group { group_label: 3 "
      "  annotation { instance_id: 0 bbox { xmin: .1 ymin: .2 xmax: .3 ymax: .4 } } "
      "  annotation { instance_id: 1 bbox { xmin: 0 ymin: 0 xmax: 1 ymax: 1 difficult: true } } } "
      "annotation_group { group_label: 1 annotation { bbox { xmax: .5 ymax: .5 } } }"));
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0].label, 3);
  expect_box(objects[0].box, .1, .2, .3, .4);
  EXPECT_FALSE(objects[0].difficult);
  EXPECT_EQ(objects[1].instance, 1);
  EXPECT_TRUE(objects[1].difficult);
  EXPECT_EQ(objects[2].label, 1);
  EXPECT_ERROR(objects_of(parsed<AnnotatedDatum>("annotation_group { annotation { } }")),
               "group_label");
  EXPECT_ERROR(
      objects_of(parsed<AnnotatedDatum>("annotation_group { group_label: 1 annotation { } }")),
      "has no box");
  EXPECT_ERROR(objects_of(parsed<AnnotatedDatum>(
                   "annotation_group { group_label: 1 annotation { bbox { xmin: nan } } }")),
               "not a number");
  EXPECT_ERROR(objects_of(parsed<AnnotatedDatum>(
                   "annotation_group { group_label: -1 annotation { bbox { xmax: 1 } } }")),
               "an object has class -1; classes are 0 and greater");
}

TEST(Annotations, ObjectsWithinAFrame) {
  const std::vector<Annotated> objects = {
      {1, 0, false, {.1, .1, .5, .5}},    // half of its width is inside
      {2, 0, false, {.4, .4, .6, .6}},    // inside
      {3, 0, false, {.0, .0, .3, .2}},    // touches the frame only
      {4, 0, false, {.25, .0, .45, 1.}},  // its centre is inside
  };
  const Box<double> frame{.3, .0, .8, 1.};
  std::vector<Annotated> inside = objects_within(frame, nullptr, objects);
  ASSERT_EQ(inside.size(), 3u);
  expect_box(inside[0].box, 0, .1, .4, .5);
  expect_box(inside[1].box, .2, .4, .6, .6);
  expect_box(inside[2].box, 0, 0, .3, 1);
  const auto centre = parsed<EmitConstraint>("emit_type: CENTER");
  inside = objects_within({.35, .0, .8, 1.}, &centre, objects);
  ASSERT_EQ(inside.size(), 2u);
  EXPECT_EQ(inside[0].label, 2);
  EXPECT_EQ(inside[1].label, 4);
  const auto half = parsed<EmitConstraint>("emit_type: MIN_OVERLAP emit_overlap: 0.6");
  inside = objects_within(frame, &half, objects);
  ASSERT_EQ(inside.size(), 2u);
  EXPECT_EQ(inside[0].label, 2);
  EXPECT_EQ(inside[1].label, 4);
  // A frame around the image.
  inside = objects_within({-1, -1, 3, 1}, nullptr, {{1, 0, false, {0, 0, 1, 1}}});
  expect_box(inside[0].box, .25, .5, .5, 1);
  mirror_objects(&inside);
  expect_box(inside[0].box, .5, .5, .75, 1);
}

std::vector<Box<double>> crops_of(const BatchSampler& sampler,
                                  const std::vector<Annotated>& objects, int seed = 1) {
  ItemRandom random(seed, 0);
  return draw_crops({&sampler}, objects, &random);
}

TEST(Annotations, TheShapeOfCrops) {
  const auto sampler = parsed<BatchSampler>(
      "sampler { min_scale: 0.3 max_scale: 0.9 min_aspect_ratio: 0.5 max_aspect_ratio: 2 } "
      "max_trials: 2000");
  double smallest = 1, largest = 0, flattest = 9, widest = 0, left = 1, right = 0;
  for (const Box<double>& crop : crops_of(sampler, {})) {
    const double width = crop.xmax - crop.xmin, height = crop.ymax - crop.ymin;
    EXPECT_TRUE(crop.xmin >= 0 && crop.ymin >= 0 && crop.xmax <= 1 + 1e-12 &&
                crop.ymax <= 1 + 1e-12);
    const double scale = std::sqrt(width * height);
    smallest = std::min(smallest, scale);
    largest = std::max(largest, scale);
    flattest = std::min(flattest, width / height);
    widest = std::max(widest, width / height);
    left = std::min(left, crop.xmin);
    right = std::max(right, crop.xmax);
  }
  EXPECT_NEAR(smallest, 0.3, 0.01);
  EXPECT_NEAR(largest, 0.9, 0.01);
  EXPECT_NEAR(flattest, 0.5, 0.01);
  EXPECT_NEAR(widest, 2, 0.02);
  EXPECT_NEAR(left, 0, 0.01);
  EXPECT_NEAR(right, 1, 0.01);
  const auto whole = crops_of(parsed<BatchSampler>("max_sample: 1"), {});
  ASSERT_EQ(whole.size(), 1u);
  expect_box(whole[0], 0, 0, 1, 1);
  EXPECT_EQ(crops_of(parsed<BatchSampler>(""), {}).size(), 100u);
}

/// Limits that cannot be met at once by one box, but by two boxes one each.
TEST(Annotations, OneBoxMustMeetAllLimits) {
  const string crop = "sampler { min_scale: 0.5 max_scale: 0.5 } max_trials: 300 ";
  const std::vector<Annotated> objects = {{1, 0, false, {.4, .4, .6, .6}},
                                          {1, 0, false, {.1, .1, .9, .9}}};
  const auto count = [&](const string& limits) {
    return crops_of(parsed<BatchSampler>(crop + "sample_constraint {" + limits + "}"), objects)
        .size();
  };
  EXPECT_GT(count("min_object_coverage: 0.9"), 0u);
  EXPECT_GT(count("min_sample_coverage: 0.9"), 0u);
  EXPECT_EQ(count("min_object_coverage: 0.9 min_sample_coverage: 0.9"), 0u);
  EXPECT_EQ(count("min_jaccard_overlap: 0.5"), 0u);
  EXPECT_GT(count("max_jaccard_overlap: 0.1"), 0u);
  EXPECT_EQ(
      crops_of(parsed<BatchSampler>(crop + "sample_constraint { min_jaccard_overlap: 0 }"), {})
          .size(),
      0u);  // no object meets it
  for (const Box<double>& one :
       crops_of(parsed<BatchSampler>(crop + "sample_constraint { min_object_coverage: 0.99 }"),
                {objects[0]})) {
    EXPECT_TRUE(one.xmin < .41 && one.ymin < .41 && one.xmax > .59 && one.ymax > .59);
  }
}

TEST(Annotations, ErrorsOfSamplers) {
  EXPECT_ERROR(check_sampler(parsed<BatchSampler>("use_original_image: false")),
               "use_original_image");
  EXPECT_ERROR(check_sampler(parsed<BatchSampler>("max_trials: 4000000000")), "max_trials");
  EXPECT_ERROR(check_sampler(parsed<BatchSampler>("sampler { min_scale: 0 }")), "min_scale 0");
  EXPECT_ERROR(check_sampler(parsed<BatchSampler>("sampler { max_scale: 2 }")), "max_scale 2");
  EXPECT_ERROR(check_sampler(parsed<BatchSampler>("sampler { max_aspect_ratio: 0.5 }")),
               "max_aspect_ratio");
  check_sampler(BatchSampler());
}

}  // namespace
}  // namespace caffe
