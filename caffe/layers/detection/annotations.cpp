#include "caffe/layers/detection/annotations.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/common.hpp"
#include "caffe/util/image_changes.hpp"

namespace caffe {

std::vector<Annotated> objects_of(const AnnotatedDatum& datum) {
  std::vector<Annotated> objects;
  for (const AnnotationGroup& group : datum.annotation_group()) {
    CAFFE_CHECK(group.has_group_label(), "a group of its boxes has no group_label");
    for (const Annotation& one : group.annotation()) {
      const NormalizedBBox& box = one.bbox();
      CAFFE_CHECK(group.group_label() >= 0,
                  "an object has class " << group.group_label() << "; classes are 0 and greater");
      CAFFE_CHECK(one.has_bbox(), "an object of class " << group.group_label() << " has no box");
      CAFFE_CHECK(std::isfinite(box.xmin()) && std::isfinite(box.ymin()) &&
                      std::isfinite(box.xmax()) && std::isfinite(box.ymax()),
                  "a box of class " << group.group_label() << " is not a number");
      objects.push_back({group.group_label(),
                         one.instance_id(),
                         box.difficult(),
                         {box.xmin(), box.ymin(), box.xmax(), box.ymax()}});
    }
  }
  return objects;
}

namespace {

bool may_stay(const Box<double>& frame, const EmitConstraint& constraint, const Box<double>& box) {
  if (constraint.emit_type() == EmitConstraint_EmitType_MIN_OVERLAP) {
    return box_coverage(box, frame) > constraint.emit_overlap();
  }
  const double x = (box.xmin + box.xmax) / 2, y = (box.ymin + box.ymax) / 2;
  return x >= frame.xmin && x <= frame.xmax && y >= frame.ymin && y <= frame.ymax;
}

/// Whether a limit that is set holds.
bool within(double value, bool has_least, double least, bool has_most, double most) {
  return (!has_least || value >= least) && (!has_most || value <= most);
}

bool meets(const Box<double>& crop, const SampleConstraint& limits, const Box<double>& box) {
  return within(box_overlap(crop, box), limits.has_min_jaccard_overlap(),
                limits.min_jaccard_overlap(), limits.has_max_jaccard_overlap(),
                limits.max_jaccard_overlap()) &&
         within(box_coverage(crop, box), limits.has_min_sample_coverage(),
                limits.min_sample_coverage(), limits.has_max_sample_coverage(),
                limits.max_sample_coverage()) &&
         within(box_coverage(box, crop), limits.has_min_object_coverage(),
                limits.min_object_coverage(), limits.has_max_object_coverage(),
                limits.max_object_coverage());
}

bool limits_nothing(const SampleConstraint& limits) {
  return !limits.has_min_jaccard_overlap() && !limits.has_max_jaccard_overlap() &&
         !limits.has_min_sample_coverage() && !limits.has_max_sample_coverage() &&
         !limits.has_min_object_coverage() && !limits.has_max_object_coverage();
}

Box<double> draw_crop(const Sampler& sampler, ItemRandom* random) {
  const double scale = uniform(random, sampler.min_scale(), sampler.max_scale());
  const double least = scale * scale, most = 1 / least;
  const double low = std::clamp<double>(sampler.min_aspect_ratio(), least, most);
  const double high = std::clamp<double>(sampler.max_aspect_ratio(), least, most);
  const double root = std::sqrt(uniform(random, low, high));
  const double width = std::min(1., scale * root), height = std::min(1., scale / root);
  const double left = uniform(random, 0, 1 - width), top = uniform(random, 0, 1 - height);
  return {left, top, left + width, top + height};
}

}  // namespace

std::vector<Annotated> objects_within(const Box<double>& frame, const EmitConstraint* constraint,
                                      const std::vector<Annotated>& objects) {
  std::vector<Annotated> inside;
  for (Annotated object : objects) {
    if (constraint != nullptr && !may_stay(frame, *constraint, object.box)) continue;
    object.box = clipped(box_within(frame, object.box));
    if (box_area(object.box) > 0) inside.push_back(object);
  }
  return inside;
}

void mirror_objects(std::vector<Annotated>* objects) {
  for (Annotated& object : *objects) {
    const double left = 1 - object.box.xmax;
    object.box.xmax = 1 - object.box.xmin;
    object.box.xmin = left;
  }
}

void check_sampler(const BatchSampler& sampler) {
  CAFFE_CHECK(
      sampler.use_original_image(),
      "batch_sampler.use_original_image: false is not built (crops of crops): leave it out");
  CAFFE_CHECK(sampler.max_trials() <= 100000,
              "batch_sampler.max_trials is " << sampler.max_trials() << ": give at most 100000");
  const Sampler& shape = sampler.sampler();
  CAFFE_CHECK(
      shape.min_scale() > 0 && shape.min_scale() <= shape.max_scale() && shape.max_scale() <= 1,
      "a sampler has min_scale " << shape.min_scale() << " and max_scale " << shape.max_scale()
                                 << ": give 0 < min_scale <= max_scale <= 1");
  CAFFE_CHECK(shape.min_aspect_ratio() > 0 && shape.min_aspect_ratio() <= shape.max_aspect_ratio(),
              "a sampler has min_aspect_ratio "
                  << shape.min_aspect_ratio() << " and max_aspect_ratio "
                  << shape.max_aspect_ratio() << ": give 0 < min_aspect_ratio <= max_aspect_ratio");
}

std::vector<Box<double>> draw_crops(const std::vector<const BatchSampler*>& samplers,
                                    const std::vector<Annotated>& objects, ItemRandom* random) {
  std::vector<Box<double>> crops;
  for (const BatchSampler* const sampler : samplers) {
    const SampleConstraint& limits = sampler->sample_constraint();
    uint32_t found = 0;
    for (uint32_t trial = 0; trial < sampler->max_trials(); ++trial) {
      if (sampler->has_max_sample() && found >= sampler->max_sample()) break;
      const Box<double> crop = draw_crop(sampler->sampler(), random);
      const bool good = limits_nothing(limits) ||
                        std::any_of(objects.begin(), objects.end(), [&](const Annotated& object) {
                          return meets(crop, limits, object.box);
                        });
      if (!good) continue;
      crops.push_back(crop);
      ++found;
    }
  }
  return crops;
}

}  // namespace caffe
