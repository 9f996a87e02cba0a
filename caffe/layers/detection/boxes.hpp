#ifndef CAFFE_LAYERS_DETECTION_BOXES_HPP_
#define CAFFE_LAYERS_DETECTION_BOXES_HPP_

// The arithmetic of boxes that SSD's layers share: overlap, the offsets that a net learns instead
// of corners, non-maximum suppression, and which box stands for which object. All of it runs on the
// host. A box is in shares of the image's width and height (0 to 1) unless a comment says pixels.
//
// Source: W. Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016, section 2.2, and the
// layers of its Caffe.

#include <array>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// A box by its corners. Nothing keeps xmin below xmax: a net may predict an inverted box, which
/// has no area.
template <typename T>
struct Box {
  T xmin, ymin, xmax, ymax;
};

/// xmax - xmin times ymax - ymin; 0 for an inverted box.
template <typename T>
T box_area(const Box<T>& box);

/// The box with its corners moved into [0, 1].
template <typename T>
Box<T> clipped(const Box<T>& box);

/// What both boxes cover; (0, 0, 0, 0) if they do not touch.
template <typename T>
Box<T> box_intersection(const Box<T>& a, const Box<T>& b);

/// Intersection over union, 0 to 1; 0 if there is no union. With `pixels` both are in pixels, and
/// the intersection counts its last column and row (w + 1 by h + 1) while the boxes do not: SSD's
/// evaluation of scaled boxes. The result may then be greater than 1.
template <typename T>
T box_overlap(const Box<T>& a, const Box<T>& b, bool pixels = false);

/// The share of `of` that `by` covers; 0 if `of` has no area.
template <typename T>
T box_coverage(const Box<T>& of, const Box<T>& by);

/// `box`, which is in shares of the image, in shares of `frame` (a crop): (0, 0, 1, 1) is the frame
/// itself. Not clipped. The frame must have an area.
template <typename T>
Box<T> box_within(const Box<T>& frame, const Box<T>& box);

/// The inverse: `box`, in shares of `frame`, in shares of the image.
template <typename T>
Box<T> box_out_of(const Box<T>& frame, const Box<T>& box);

/// Four numbers that say where a box is, relative to a prior.
template <typename T>
using Offsets = std::array<T, 4>;

/// How a box is written relative to a prior (code_type), and whether the offsets are still to be
/// multiplied by the prior's variances (false: as SSD trains) or hold them already.
struct BoxCode {
  PriorBoxParameter::CodeType type = PriorBoxParameter::CORNER;
  bool variance_in_target = false;
};

/// The offsets of `box` from `prior`, with v the variances, or 1 with variance_in_target:
///   CORNER       (corner - prior's corner) / v
///   CENTER_SIZE  ((cx - pcx) / pw / v0, (cy - pcy) / ph / v1, log(w / pw) / v2, log(h / ph) / v3)
///   CORNER_SIZE  (corner - prior's corner) / (pw or ph) / v
/// Boxes without width or height give infinities or NaN in the last two.
template <typename T>
Offsets<T> encode_box(const BoxCode& code, const Box<T>& prior, const Offsets<T>& variance,
                      const Box<T>& box);

/// The inverse of encode_box: the box at these offsets. Not clipped.
template <typename T>
Box<T> decode_box(const BoxCode& code, const Box<T>& prior, const Offsets<T>& variance,
                  const Offsets<T>& offsets);

/// The first `top_k` (all if negative) indices of `scores` that are greater than `above`, by
/// falling score; equal ones in the order of their indices. NaN is greater than nothing.
template <typename T>
std::vector<int> by_score(const std::vector<T>& scores, T above, int top_k);

/// Greedy non-maximum suppression: of `order`, indices of boxes from the best on, those whose
/// overlap with every box kept before is at most `threshold`. After each kept box a threshold
/// greater than 0.5 is multiplied by `eta` (1: it stays).
template <typename T>
std::vector<int> suppressed(const std::vector<Box<T>>& boxes, const std::vector<int>& order,
                            T threshold, T eta = T(1));

/// In BoxMatches::truth: the box stands for no object; it must not be used at all.
constexpr int kUnmatched = -1, kIgnored = -2;

/// What each of P boxes stands for.
template <typename T>
struct BoxMatches {
  std::vector<int> truth;  // [P] an index of the true boxes, kUnmatched or kIgnored
  std::vector<T> overlap;  // [P] with its true box; unmatched: the largest with any, 0 if tiny
};

/// How boxes are matched with true ones.
struct MatchOptions {
  MultiBoxLossParameter::MatchType type = MultiBoxLossParameter::PER_PREDICTION;
  float overlap_threshold = 0.5f;
  bool ignore_cross_boundary = false;  // boxes that leave [0, 1] are kIgnored
};

/// Matches boxes with true boxes. First each true box gets a box of its own: again and again the
/// pair with the largest overlap (the first by box, then by true box, among equal ones) of those
/// that are both free. With PER_PREDICTION, each box still free then gets the true box that it
/// overlaps most, if that is overlap_threshold or more. Overlaps up to 1e-6 count as none.
template <typename T>
BoxMatches<T> match_boxes(const std::vector<Box<T>>& truths, const std::vector<Box<T>>& boxes,
                          const MatchOptions& options);

/// The boxes that a net's predictions are relative to.
template <typename T>
struct Priors {
  std::vector<Box<T>> boxes;          // [P]
  std::vector<Offsets<T>> variances;  // [P]
};

/// Reads PriorBox's top: `values` is [2, 4 count], boxes first, then variances.
template <typename T>
Priors<T> read_priors(const T* values, int count);

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_BOXES_HPP_
