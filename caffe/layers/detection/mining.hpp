#ifndef CAFFE_LAYERS_DETECTION_MINING_HPP_
#define CAFFE_LAYERS_DETECTION_MINING_HPP_

#include <vector>

#include "caffe/layers/detection/boxes.hpp"

namespace caffe {

/// Which boxes of an image learn that they are background, since nearly all are (hard negative
/// mining: W. Liu et al., ECCV 2016, section 2.2).
struct Mining {
  MultiBoxLossParameter::MiningType type = MultiBoxLossParameter::MAX_NEGATIVE;
  float neg_pos_ratio = 3;
  float neg_overlap = 0.5f;
  int sample_size = 64;
  bool suppress = false;  // candidates are suppressed by loss first
  float nms_threshold = 0.3f;
  int top_k = -1;  // of these

  explicit Mining(const MultiBoxLossParameter& param);
  Mining() = default;
};

/// The boxes that are negatives, ascending. `losses` is the loss of each box, [P]; `boxes`, [P],
/// are what is suppressed (those with an area below 1e-5 are dropped), unused otherwise.
///
/// MAX_NEGATIVE: of the unmatched boxes whose overlap is below neg_overlap, the neg_pos_ratio times
/// as many as there are matched ones that have the greatest losses. HARD_EXAMPLE: the sample_size
/// boxes with the greatest losses, matched or not; matched ones that are not among them become
/// unmatched, in `matches`. NONE: none.
template <typename T>
std::vector<int> mine(const Mining& mining, const std::vector<T>& losses,
                      const std::vector<Box<T>>& boxes, BoxMatches<T>* matches);

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_MINING_HPP_
