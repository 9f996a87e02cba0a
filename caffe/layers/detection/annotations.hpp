#ifndef CAFFE_LAYERS_DETECTION_ANNOTATIONS_HPP_
#define CAFFE_LAYERS_DETECTION_ANNOTATIONS_HPP_

// The objects of an image, and what happens to their boxes when the image is cut: they follow the
// pixels. All of it runs on the host.

#include <vector>

#include "caffe/layers/detection/boxes.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/item_random.hpp"

namespace caffe {

/// An object of an image, its box in shares of the image's width and height.
struct Annotated {
  int label, instance;
  bool difficult;
  Box<double> box;
};

/// The objects of a record, group by group. Throws if a group has no label or a box is missing or
/// not a number.
std::vector<Annotated> objects_of(const AnnotatedDatum& datum);

/// The objects in an image that shows `frame` of the one before, in shares of the new image. Left
/// out are objects that `constraint` (may be null) excludes, and those with no area inside: CENTER
/// keeps a box whose centre is in the frame, MIN_OVERLAP one of which more than emit_overlap is.
/// The boxes are clipped to the new image.
std::vector<Annotated> objects_within(const Box<double>& frame, const EmitConstraint* constraint,
                                      const std::vector<Annotated>& objects);

/// The boxes in an image that was mirrored left to right.
void mirror_objects(std::vector<Annotated>* objects);

/// Throws if a batch_sampler asks for what is not there, or not possible.
void check_sampler(const BatchSampler& sampler);

/// Draws crops of an image, in shares of it: of each sampler up to max_sample (none: all) of
/// max_trials that meet its sample_constraint.
///
///   scale  s = U(min_scale, max_scale)
///   aspect a = U(min_aspect_ratio, max_aspect_ratio), both limited to [s^2, 1 / s^2]
///   width  s sqrt(a), height s / sqrt(a), at a random place
///
/// A crop meets a constraint if one object's box meets all of its limits: the overlap of both
/// (intersection over union), the share of the crop (sample coverage) and the share of the object
/// (object coverage) that they have in common.
std::vector<Box<double>> draw_crops(const std::vector<const BatchSampler*>& samplers,
                                    const std::vector<Annotated>& objects, ItemRandom* random);

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_ANNOTATIONS_HPP_
