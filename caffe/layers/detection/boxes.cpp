#include "caffe/layers/detection/boxes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "caffe/util/error.hpp"

namespace caffe {

namespace {

/// Overlaps up to this count as none.
constexpr double kTiny = 1e-6;

/// A box by its centre and size.
template <typename T>
struct Centred {
  T x, y, width, height;
  explicit Centred(const Box<T>& box)
      : x((box.xmin + box.xmax) / 2),
        y((box.ymin + box.ymax) / 2),
        width(box.xmax - box.xmin),
        height(box.ymax - box.ymin) {}
};

template <typename T>
bool crosses_boundary(const Box<T>& box) {
  const auto outside = [](T at) { return at < T(0) || at > T(1); };
  return outside(box.xmin) || outside(box.ymin) || outside(box.xmax) || outside(box.ymax);
}

/// A box and a true box that overlap.
template <typename T>
struct Pair {
  int box, truth;
  T overlap;
};

/// Gives each true box the best box that is still free.
template <typename T>
void match_bipartite(std::vector<Pair<T>> pairs, size_t truths, BoxMatches<T>* matches) {
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair<T>& a, const Pair<T>& b) { return a.overlap > b.overlap; });
  std::vector<bool> taken(truths, false);
  for (const Pair<T>& pair : pairs) {
    if (taken[pair.truth] || matches->truth[pair.box] != kUnmatched) continue;
    taken[pair.truth] = true;
    matches->truth[pair.box] = pair.truth;
    matches->overlap[pair.box] = pair.overlap;
  }
}

/// Gives each box that is still free its best true box. `pairs` are in the order of the boxes.
template <typename T>
void match_each(const std::vector<Pair<T>>& pairs, T threshold, BoxMatches<T>* matches) {
  for (size_t i = 0; i < pairs.size();) {
    const int box = pairs[i].box;
    size_t best = i;
    for (; i < pairs.size() && pairs[i].box == box; ++i) {
      if (pairs[i].overlap > pairs[best].overlap) best = i;
    }
    if (matches->truth[box] != kUnmatched || pairs[best].overlap < threshold) continue;
    matches->truth[box] = pairs[best].truth;
    matches->overlap[box] = pairs[best].overlap;
  }
}

}  // namespace

template <typename T>
T box_area(const Box<T>& box) {
  if (box.xmax < box.xmin || box.ymax < box.ymin) return T(0);
  return (box.xmax - box.xmin) * (box.ymax - box.ymin);
}

template <typename T>
Box<T> clipped(const Box<T>& box) {
  const auto clip = [](T at) { return std::max(T(0), std::min(T(1), at)); };
  return {clip(box.xmin), clip(box.ymin), clip(box.xmax), clip(box.ymax)};
}

template <typename T>
Box<T> box_intersection(const Box<T>& a, const Box<T>& b) {
  const Box<T> both = {std::max(a.xmin, b.xmin), std::max(a.ymin, b.ymin), std::min(a.xmax, b.xmax),
                       std::min(a.ymax, b.ymax)};
  if (both.xmin > both.xmax || both.ymin > both.ymax) return {T(0), T(0), T(0), T(0)};
  return both;
}

template <typename T>
T box_overlap(const Box<T>& a, const Box<T>& b, bool pixels) {
  const Box<T> both = box_intersection(a, b);
  T width = both.xmax - both.xmin, height = both.ymax - both.ymin;
  if (pixels) {
    const bool apart = a.xmin > b.xmax || b.xmin > a.xmax || a.ymin > b.ymax || b.ymin > a.ymax;
    if (apart) return T(0);
    width += 1;
    height += 1;
  }
  if (!(width > T(0) && height > T(0))) return T(0);
  const T shared = width * height, all = box_area(a) + box_area(b) - shared;
  return all > T(0) ? shared / all : T(0);
}

template <typename T>
T box_coverage(const Box<T>& of, const Box<T>& by) {
  const T area = box_area(of);
  return area > T(0) ? box_area(box_intersection(of, by)) / area : T(0);
}

template <typename T>
Box<T> box_within(const Box<T>& frame, const Box<T>& box) {
  const T width = frame.xmax - frame.xmin, height = frame.ymax - frame.ymin;
  CAFFE_CHECK(width > T(0) && height > T(0), "a box cannot be put into a frame without area");
  return {(box.xmin - frame.xmin) / width, (box.ymin - frame.ymin) / height,
          (box.xmax - frame.xmin) / width, (box.ymax - frame.ymin) / height};
}

template <typename T>
Box<T> box_out_of(const Box<T>& frame, const Box<T>& box) {
  const T width = frame.xmax - frame.xmin, height = frame.ymax - frame.ymin;
  return {frame.xmin + box.xmin * width, frame.ymin + box.ymin * height,
          frame.xmin + box.xmax * width, frame.ymin + box.ymax * height};
}

template <typename T>
Offsets<T> encode_box(const BoxCode& code, const Box<T>& prior, const Offsets<T>& variance,
                      const Box<T>& box) {
  Offsets<T> offsets = {box.xmin - prior.xmin, box.ymin - prior.ymin, box.xmax - prior.xmax,
                        box.ymax - prior.ymax};
  const Centred<T> from(prior), to(box);
  switch (code.type) {
    case PriorBoxParameter::CORNER:
      break;
    case PriorBoxParameter::CENTER_SIZE:
      offsets = {(to.x - from.x) / from.width, (to.y - from.y) / from.height,
                 std::log(to.width / from.width), std::log(to.height / from.height)};
      break;
    case PriorBoxParameter::CORNER_SIZE:
      for (int k = 0; k < 4; ++k) offsets[k] /= k % 2 == 0 ? from.width : from.height;
      break;
  }
  if (!code.variance_in_target) {
    for (int k = 0; k < 4; ++k) offsets[k] /= variance[k];
  }
  return offsets;
}

template <typename T>
Box<T> decode_box(const BoxCode& code, const Box<T>& prior, const Offsets<T>& variance,
                  const Offsets<T>& offsets) {
  Offsets<T> t = offsets;
  if (!code.variance_in_target) {
    for (int k = 0; k < 4; ++k) t[k] *= variance[k];
  }
  const Centred<T> from(prior);
  switch (code.type) {
    case PriorBoxParameter::CORNER:
      break;
    case PriorBoxParameter::CENTER_SIZE: {
      const T x = t[0] * from.width + from.x, y = t[1] * from.height + from.y;
      const T width = std::exp(t[2]) * from.width, height = std::exp(t[3]) * from.height;
      return {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
    }
    case PriorBoxParameter::CORNER_SIZE:
      for (int k = 0; k < 4; ++k) t[k] *= k % 2 == 0 ? from.width : from.height;
      break;
  }
  return {prior.xmin + t[0], prior.ymin + t[1], prior.xmax + t[2], prior.ymax + t[3]};
}

template <typename T>
std::vector<int> by_score(const std::vector<T>& scores, T above, int top_k) {
  std::vector<int> order;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > above) order.push_back(static_cast<int>(i));
  }
  // Equal scores stay in the order of their indices, as after a stable sort.
  const auto better = [&](int a, int b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  const bool cut = top_k >= 0 && static_cast<size_t>(top_k) < order.size();
  const auto end = cut ? order.begin() + top_k : order.end();
  std::partial_sort(order.begin(), end, order.end(), better);
  order.erase(end, order.end());
  return order;
}

template <typename T>
std::vector<int> suppressed(const std::vector<Box<T>>& boxes, const std::vector<int>& order,
                            T threshold, T eta) {
  std::vector<int> kept;
  for (const int candidate : order) {
    const bool keep = std::all_of(kept.begin(), kept.end(), [&](int other) {
      return box_overlap(boxes[candidate], boxes[other]) <= threshold;
    });
    if (!keep) continue;
    kept.push_back(candidate);
    if (eta < T(1) && threshold > T(0.5)) threshold *= eta;
  }
  return kept;
}

template <typename T>
BoxMatches<T> match_boxes(const std::vector<Box<T>>& truths, const std::vector<Box<T>>& boxes,
                          const MatchOptions& options) {
  BoxMatches<T> matches;
  matches.truth.assign(boxes.size(), kUnmatched);
  matches.overlap.assign(boxes.size(), T(0));
  std::vector<Pair<T>> pairs;
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (options.ignore_cross_boundary && crosses_boundary(boxes[i])) {
      matches.truth[i] = kIgnored;
      continue;
    }
    for (size_t g = 0; g < truths.size(); ++g) {
      const T overlap = box_overlap(boxes[i], truths[g]);
      if (!(overlap > T(kTiny))) continue;
      pairs.push_back({static_cast<int>(i), static_cast<int>(g), overlap});
      matches.overlap[i] = std::max(matches.overlap[i], overlap);
    }
  }
  match_bipartite(pairs, truths.size(), &matches);
  if (options.type == MultiBoxLossParameter::PER_PREDICTION) {
    match_each(pairs, static_cast<T>(options.overlap_threshold), &matches);
  }
  return matches;
}

template <typename T>
Priors<T> read_priors(const T* values, int count) {
  Priors<T> priors;
  priors.boxes.reserve(count);
  priors.variances.reserve(count);
  for (int i = 0; i < count; ++i) {
    const T* const box = values + 4 * i;
    const T* const variance = box + 4 * count;
    priors.boxes.push_back({box[0], box[1], box[2], box[3]});
    priors.variances.push_back({variance[0], variance[1], variance[2], variance[3]});
  }
  return priors;
}

#define INSTANTIATE(T)                                                                             \
  template T box_area(const Box<T>&);                                                              \
  template Box<T> clipped(const Box<T>&);                                                          \
  template Box<T> box_intersection(const Box<T>&, const Box<T>&);                                  \
  template T box_overlap(const Box<T>&, const Box<T>&, bool);                                      \
  template T box_coverage(const Box<T>&, const Box<T>&);                                           \
  template Box<T> box_within(const Box<T>&, const Box<T>&);                                        \
  template Box<T> box_out_of(const Box<T>&, const Box<T>&);                                        \
  template Offsets<T> encode_box(const BoxCode&, const Box<T>&, const Offsets<T>&, const Box<T>&); \
  template Box<T> decode_box(const BoxCode&, const Box<T>&, const Offsets<T>&, const Offsets<T>&); \
  template std::vector<int> by_score(const std::vector<T>&, T, int);                               \
  template std::vector<int> suppressed(const std::vector<Box<T>>&, const std::vector<int>&, T, T); \
  template BoxMatches<T> match_boxes(const std::vector<Box<T>>&, const std::vector<Box<T>>&,       \
                                     const MatchOptions&);                                         \
  template Priors<T> read_priors(const T*, int)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
