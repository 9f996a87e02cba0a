#include "caffe/layers/detection/mining.hpp"

#include <algorithm>
#include <limits>

namespace caffe {

namespace {

constexpr double kSmallestArea = 1e-5;

/// Files from before there was mining_type have do_neg_mining alone.
MultiBoxLossParameter::MiningType mining_type_of(const MultiBoxLossParameter& param) {
  if (param.has_mining_type() || !param.has_do_neg_mining()) return param.mining_type();
  return param.do_neg_mining() ? MultiBoxLossParameter::MAX_NEGATIVE : MultiBoxLossParameter::NONE;
}

template <typename T>
bool is_candidate(const Mining& mining, int truth, T overlap) {
  if (truth == kIgnored) return false;
  if (mining.type == MultiBoxLossParameter::HARD_EXAMPLE) return true;
  return truth == kUnmatched && overlap < T(mining.neg_overlap);
}

/// The candidates by falling loss. NaN comes first: training must stop, not leave it out.
template <typename T>
std::vector<int> candidates_by_loss(const Mining& mining, const std::vector<T>& losses,
                                    const std::vector<Box<T>>& boxes,
                                    const BoxMatches<T>& matches) {
  std::vector<T> ranks(losses.size(), -std::numeric_limits<T>::infinity());
  for (size_t p = 0; p < losses.size(); ++p) {
    if (!is_candidate(mining, matches.truth[p], matches.overlap[p])) continue;
    if (mining.suppress && box_area(boxes[p]) < T(kSmallestArea)) continue;
    ranks[p] = losses[p] == losses[p] ? losses[p] : std::numeric_limits<T>::infinity();
  }
  const T none = -std::numeric_limits<T>::infinity();
  if (!mining.suppress) return by_score(ranks, none, -1);
  return suppressed(boxes, by_score(ranks, none, mining.top_k), T(mining.nms_threshold));
}

/// How many candidates are taken, if there are as many.
template <typename T>
size_t wanted_negatives(const Mining& mining, size_t candidates, const BoxMatches<T>& matches) {
  if (mining.type == MultiBoxLossParameter::HARD_EXAMPLE) return mining.sample_size;
  const auto positives = std::count_if(matches.truth.begin(), matches.truth.end(),
                                       [](int truth) { return truth >= 0; });
  const float wanted = static_cast<float>(positives) * mining.neg_pos_ratio;
  if (positives == 0) return 0;
  return wanted < static_cast<float>(candidates) ? static_cast<size_t>(wanted) : candidates;
}

}  // namespace

Mining::Mining(const MultiBoxLossParameter& param)
    : type(mining_type_of(param)),
      neg_pos_ratio(param.neg_pos_ratio()),
      neg_overlap(param.neg_overlap()),
      sample_size(param.sample_size()),
      suppress(param.has_nms_param() && param.nms_param().nms_threshold() > 0),
      nms_threshold(param.nms_param().nms_threshold()),
      top_k(param.nms_param().has_top_k() ? param.nms_param().top_k() : -1) {}

template <typename T>
std::vector<int> mine(const Mining& mining, const std::vector<T>& losses,
                      const std::vector<Box<T>>& boxes, BoxMatches<T>* matches) {
  if (mining.type == MultiBoxLossParameter::NONE) return {};
  std::vector<int> chosen = candidates_by_loss(mining, losses, boxes, *matches);
  chosen.resize(std::min(chosen.size(), wanted_negatives(mining, chosen.size(), *matches)));
  std::vector<bool> is_chosen(losses.size(), false);
  for (const int p : chosen) is_chosen[p] = true;
  std::vector<int> negatives;
  for (size_t p = 0; p < losses.size(); ++p) {
    if (is_chosen[p] && matches->truth[p] == kUnmatched) negatives.push_back(static_cast<int>(p));
    const bool hard = mining.type == MultiBoxLossParameter::HARD_EXAMPLE;
    if (hard && !is_chosen[p] && matches->truth[p] >= 0) matches->truth[p] = kUnmatched;
  }
  return negatives;
}

template std::vector<int> mine(const Mining&, const std::vector<float>&,
                               const std::vector<Box<float>>&, BoxMatches<float>*);
template std::vector<int> mine(const Mining&, const std::vector<double>&,
                               const std::vector<Box<double>>&, BoxMatches<double>*);

}  // namespace caffe
