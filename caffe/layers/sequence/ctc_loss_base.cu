#include "caffe/layers/sequence/ctc_loss_base.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/sequence/labels.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/item_teams.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

/// The states of an item: blank, label, blank, label .. blank, and the steps from one to the next.
template <typename T, typename W>
struct CtcStates {
  int steps, items, classes, blank, longest;
  bool merge;
  const int* spans;   // [items, 3]
  const int* labels;  // [items, longest]
  const T* x;         // [steps, items, classes]
  const W* norm;      // [steps, items]
  CAFFE_HD int begin(int n) const { return spans[3 * n]; }
  CAFFE_HD int end(int n) const { return spans[3 * n + 1]; }
  CAFFE_HD int count(int n) const { return 2 * spans[3 * n + 2] + 1; }
  CAFFE_HD int class_of(int n, int s) const {
    return s % 2 == 0 ? blank : labels[n * longest + s / 2];
  }
  CAFFE_HD W log_prob(int n, int t, int s) const {
    const int64_t row = static_cast<int64_t>(t) * items + n;
    return W(x[row * classes + class_of(n, s)]) - norm[row];
  }
  /// Whether state s may last longer than one step.
  CAFFE_HD bool lasts(int s) const { return merge || s % 2 == 0; }
  /// Whether state s may follow on s - 2.
  CAFFE_HD bool skips(int n, int s) const {
    return s % 2 == 1 && s >= 3 && !(merge && class_of(n, s) == class_of(n, s - 2));
  }
  CAFFE_HD int64_t row(int n, int t) const {
    return (static_cast<int64_t>(n) * steps + t) * (2 * longest + 1);
  }
};

namespace {

/// log(exp(a) + exp(b)), also for log 0.
template <typename W>
CAFFE_HD inline W log_add(W a, W b) {
  const W high = a < b ? b : a, low = a < b ? a : b;
  return low == W(-INFINITY) ? high : high + std::log1p(std::exp(low - high));
}

/// Log of the divisor of the softmax of a row of scores.
template <typename T, typename W>
struct LogNorm {
  int classes;
  const T* x;  // [steps x items, classes]
  W* norm;     // [steps x items]
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    const T* const scores = x + static_cast<int64_t>(row) * classes;
    W high = W(scores[0]);
    for (int c = team.rank(); c < classes; c += team.size()) {
      high = high < W(scores[c]) ? W(scores[c]) : high;
    }
    high = team.max(high);
    W sum = W(0);
    for (int c = team.rank(); c < classes; c += team.size()) sum += std::exp(W(scores[c]) - high);
    sum = team.sum(sum);
    if (team.rank() == 0) norm[row] = high + std::log(sum);
  }
};

/// Forward variables and loss of an item; a team takes one.
template <typename T, typename W>
struct Alignments {
  CtcStates<T, W> states;
  W* forward;  // [items, steps, states]
  W* losses;   // [items]
  CAFFE_HD W variable(int n, int t, int s) const {
    const W* const before = forward + states.row(n, t - 1);
    W sum = states.lasts(s) ? before[s] : W(-INFINITY);
    if (s >= 1) sum = log_add(sum, before[s - 1]);
    if (states.skips(n, s)) sum = log_add(sum, before[s - 2]);
    return sum + states.log_prob(n, t, s);
  }
  CAFFE_HD W loss(int n, int last) const {
    const int count = states.count(n);
    if (last < states.begin(n)) return count == 1 ? W(0) : W(INFINITY);
    const W* const row = forward + states.row(n, last);
    return -(count == 1 ? row[0] : log_add(row[count - 1], row[count - 2]));
  }
  template <typename Team>
  CAFFE_HD void operator()(int n, const Team& team) const {
    const int count = states.count(n), begin = states.begin(n), end = states.end(n);
    for (int t = begin; t < end; ++t) {
      W* const row = forward + states.row(n, t);
      for (int s = team.rank(); s < count; s += Team::size()) {
        if (t > begin) {
          row[s] = variable(n, t, s);
        } else {
          row[s] = s < 2 ? states.log_prob(n, t, s) : W(-INFINITY);
        }
      }
      team.sync();
    }
    if (team.rank() == 0) losses[n] = loss(n, end - 1);
  }
};

/// Backward variables of an item: the log probability of all that follows on a state.
template <typename T, typename W>
struct Endings {
  CtcStates<T, W> states;
  W* backward;  // [items, steps, states]
  CAFFE_HD W variable(int n, int t, int s) const {
    const int count = states.count(n);
    const W* const after = backward + states.row(n, t + 1);
    W sum = W(-INFINITY);
    if (states.lasts(s)) sum = after[s] + states.log_prob(n, t + 1, s);
    if (s + 1 < count) sum = log_add(sum, after[s + 1] + states.log_prob(n, t + 1, s + 1));
    if (s + 2 < count && states.skips(n, s + 2)) {
      sum = log_add(sum, after[s + 2] + states.log_prob(n, t + 1, s + 2));
    }
    return sum;
  }
  template <typename Team>
  CAFFE_HD void operator()(int n, const Team& team) const {
    const int count = states.count(n), begin = states.begin(n), last = states.end(n) - 1;
    for (int t = last; t >= begin; --t) {
      W* const row = backward + states.row(n, t);
      for (int s = team.rank(); s < count; s += Team::size()) {
        row[s] = t < last ? variable(n, t, s) : s >= count - 2 ? W(0) : W(-INFINITY);
      }
      team.sync();
    }
  }
};

/// Gradient of a row of scores: factor (softmax - share of each class in the alignments).
template <typename T, typename W, typename Factor>
struct CtcGradient {
  static constexpr int kLeastBlocks = 1;  // spills otherwise
  CtcStates<T, W> states;
  Factor factor;
  const W *forward, *backward, *losses;
  T* dx;
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    const int t = row / states.items, n = row % states.items, classes = states.classes;
    const T* const x = states.x + static_cast<int64_t>(row) * classes;
    T* const out = dx + static_cast<int64_t>(row) * classes;
    const bool used = t >= states.begin(n) && t < states.end(n) && !(losses[n] == W(INFINITY));
    const T by = factor.get();
    for (int c = team.rank(); c < classes; c += team.size()) {
      out[c] = used ? by * T(std::exp(W(x[c]) - states.norm[row])) : T(0);
    }
    team.sync();
    if (!used || team.rank() != 0) return;
    const int64_t at = states.row(n, t);
    for (int s = 0; s < states.count(n); ++s) {  // in order: states may have the same class
      const W share = std::exp(forward[at + s] + backward[at + s] + losses[n]);
      out[states.class_of(n, s)] -= by * T(share);
    }
  }
};

template <typename T>
struct TopDiff {
  const T* dy;
  CAFFE_HD T get() const { return *dy; }
};

}  // namespace

template <typename Dtype>
void CtcLossBase<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() >= 3 && bottom[0]->count() > 0,
              this->name() << "takes scores of steps x items x classes, and bottom 0 is "
                           << bottom[0]->shape_string());
  steps_ = bottom[0]->shape(0);
  items_ = bottom[0]->shape(1);
  classes_ = bottom[0]->count(2);
  check_shapes(bottom);
  blank(bottom);
  spans_.Reshape({items_, 3});
  norm_.Reshape({steps_, items_});
  losses_.Reshape({items_});
  top[0]->Reshape(std::vector<int>());
}

template <typename Dtype>
int CtcLossBase<Dtype>::blank_of(int parameter, const Blob<Dtype>& scores) const {
  const int index = parameter == -1 ? classes_ - 1 : parameter;
  CAFFE_CHECK(index >= 0 && index < classes_,
              this->name() << "the blank is class " << parameter << ", and there are " << classes_
                           << " classes, 0 to " << classes_ - 1 << " (scores of shape "
                           << scores.shape_string() << "); -1 means the last one");
  return index;
}

template <typename Dtype>
std::vector<int> CtcLossBase<Dtype>::labels_at(const Blob<Dtype>& blob, int first, int stride,
                                               int count, int skip) const {
  const Dtype* const values = blob.cpu_data();
  std::vector<int> labels;
  for (int i = 0; i < count; ++i) {
    const int at = first + i * stride;
    if (values[at] < Dtype(0)) break;
    const int label = whole_number(*this, "labels", values[at], at, 0, classes_ - 1);
    if (label != skip) labels.push_back(label);
  }
  return labels;
}

template <typename Dtype>
CtcStates<Dtype, double> CtcLossBase<Dtype>::states(const Blob<Dtype>& scores) const {
  return {steps_,
          items_,
          classes_,
          blank_,
          longest_,
          merge_repeated(),
          spans_.active_data(),
          labels_.active_data(),
          scores.active_data(),
          norm_.active_data()};
}

template <typename Dtype>
void CtcLossBase<Dtype>::set_targets(const std::vector<CtcTarget>& targets, int blank) {
  blank_ = blank;
  size_t longest = 1;
  for (const CtcTarget& target : targets) longest = std::max(longest, target.labels.size());
  longest_ = static_cast<int>(longest);
  labels_.Reshape({items_, longest_});
  forward_.Reshape({items_, steps_, 2 * longest_ + 1});
  int* const spans = spans_.mutable_cpu_data();
  int* const labels = labels_.mutable_cpu_data();
  std::fill_n(labels, labels_.count(), blank);
  for (int n = 0; n < items_; ++n) {
    const CtcTarget& target = targets[n];
    spans[3 * n] = target.begin;
    spans[3 * n + 1] = target.end;
    spans[3 * n + 2] = static_cast<int>(target.labels.size());
    for (size_t i = 0; i < target.labels.size(); ++i) {
      const int label = target.labels[i];
      CAFFE_CHECK(label != blank && label < classes_,
                  this->name() << "label " << i << " of item " << n << " is class " << label
                               << "; labels are 0 to " << classes_ - 1 << " without the blank, "
                               << blank);
      labels[n * longest_ + static_cast<int>(i)] = label;
    }
  }
}

template <typename Dtype>
void CtcLossBase<Dtype>::mean_loss(const Blobs& top) {
  const double* const losses = losses_.cpu_data();
  double sum = 0;
  int impossible = 0;
  for (int n = 0; n < items_; ++n) {
    const bool finite = losses[n] != static_cast<double>(INFINITY);
    sum += finite ? losses[n] : 0;
    impossible += !finite;
  }
  if (impossible > 0 && !warned_) {
    warned_ = true;
    LOG(WARNING) << this->name() << impossible << " of " << items_ << " items have labels that no "
                 << "alignment gives, because there are too few steps or scores of -inf: they are "
                 << "left out of loss and gradient, as later ones will be";
  }
  const int count = mean_of_finite() ? std::max(1, items_ - impossible) : items_;
  top[0]->mutable_cpu_data()[0] = static_cast<Dtype>(sum / count);
}

template <typename Dtype>
void CtcLossBase<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  set_targets(targets(bottom), blank(bottom));
  const Dtype* const x = bottom[0]->active_data();
  parallel_items(steps_ * items_, classes_, 1,
                 LogNorm<Dtype, double>{classes_, x, norm_.mutable_active_data()});
  maap::parallel_tile_teams(
      current_device(), items_, static_cast<int64_t>(steps_) * (2 * longest_ + 1),
      Alignments<Dtype, double>{states(*bottom[0]), forward_.mutable_active_data(),
                                losses_.mutable_active_data()});
  mean_loss(top);
}

template <typename Dtype>
void CtcLossBase<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  backward_.ReshapeLike(forward_);
  const int64_t work = static_cast<int64_t>(steps_) * (2 * longest_ + 1);
  maap::parallel_tile_teams(
      current_device(), items_, work,
      Endings<Dtype, double>{states(*bottom[0]), backward_.mutable_active_data()});
  parallel_items(steps_ * items_, classes_, 1, classes_ + 2 * longest_,
                 CtcGradient<Dtype, double, TopDiff<Dtype>>{states(*bottom[0]),
                                                            {top[0]->active_diff()},
                                                            forward_.active_data(),
                                                            backward_.active_data(),
                                                            losses_.active_data(),
                                                            bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(CtcLossBase);

}  // namespace caffe
