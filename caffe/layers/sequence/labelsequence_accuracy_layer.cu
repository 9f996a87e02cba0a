#include "caffe/layers/sequence/labelsequence_accuracy_layer.hpp"

#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/sequence/labels.hpp"
#include "caffe/util/item_teams.hpp"

namespace caffe {

namespace {

/// The first of the highest scores.
template <typename T>
struct BestClass {
  int classes;
  const T* scores;  // [rows, classes]
  int* best;        // [rows]
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    const T* const score = scores + static_cast<int64_t>(row) * classes;
    int at = 0;
    for (int c = team.rank(); c < classes; c += team.size()) at = score[c] > score[at] ? c : at;
    const T highest = team.max(score[at]);  // NaN only if the first is
    at = team.min(score[at] < highest ? classes : at);
    if (team.rank() == 0) best[row] = at;
  }
};

/// What the best classes of the steps say.
std::vector<int> best_labels(const int* best, int steps, int blank) {
  std::vector<int> labels;
  for (int t = 0; t < steps; ++t) {
    if (best[t] != blank && (t == 0 || best[t] != best[t - 1])) labels.push_back(best[t]);
  }
  return labels;
}

}  // namespace

template <typename Dtype>
void LabelsequenceAccuracyLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() >= 3 && bottom[0]->count() > 0,
              this->name() << "takes scores of items x steps x classes, and bottom 0 is "
                           << bottom[0]->shape_string());
  check_label_rows(*this, *bottom[1], bottom[0]->shape(0));
  const int blank = this->layer_param_.labelsequence_accuracy_param().blank_label();
  CAFFE_CHECK(blank >= 0 && blank < bottom[0]->count(2),
              this->name() << "labelsequence_accuracy_param's blank_label is " << blank
                           << ", and there are " << bottom[0]->count(2) << " classes");
  best_.Reshape({bottom[0]->shape(0), bottom[0]->shape(1)});
  top[0]->Reshape(std::vector<int>());
}

template <typename Dtype>
void LabelsequenceAccuracyLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int items = bottom[0]->shape(0), steps = bottom[0]->shape(1), length = bottom[1]->count(1);
  const int classes = bottom[0]->count(2);
  const int blank = this->layer_param_.labelsequence_accuracy_param().blank_label();
  parallel_items(items * steps, classes, 1,
                 BestClass<Dtype>{classes, bottom[0]->active_data(), best_.mutable_active_data()});
  int right = 0;
  for (int n = 0; n < items; ++n) {
    const Dtype* const label = bottom[1]->cpu_data() + n * length;
    std::vector<int> labels;
    for (int i = 0; i < length && !(label[i] < Dtype(0)); ++i) {
      const int value = whole_number(*this, "labels", label[i], n * length + i, 0, classes - 1);
      if (value != blank) labels.push_back(value);
    }
    right += best_labels(best_.cpu_data() + n * steps, steps, blank) == labels;
  }
  top[0]->mutable_cpu_data()[0] = Dtype(right) / items;
}

template <typename Dtype>
void LabelsequenceAccuracyLayer<Dtype>::Backward_any(const Blobs&,
                                                     const std::vector<bool>& propagate_down,
                                                     const Blobs&) {
  for (const bool down : propagate_down) {
    CAFFE_CHECK(!down, this->name() << "has no gradient: it cannot be part of a loss");
  }
}

INSTANTIATE_CLASS(LabelsequenceAccuracyLayer);
REGISTER_LAYER_CLASS(LabelsequenceAccuracy);

}  // namespace caffe
