#include "caffe/layers/accuracy_layer.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/loss_layer.hpp"
#include "caffe/util/item_teams.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

namespace {

template <typename T>
struct Right {
  int classes, inner, top_k;
  bool has_ignore;
  int ignore;
  const T* score;  // [outer x classes x inner]
  const T* label;  // [outer x inner]
  T* right;        // as label
  template <typename Team>
  CAFFE_HD void operator()(int i, const Team& team) const {
    const int l = static_cast<int>(label[i]);
    const bool counts = !(has_ignore && l == ignore) && l >= 0 && l < classes;
    const T* const scores = score + static_cast<int64_t>(i / inner) * classes * inner + i % inner;
    const T own = counts ? scores[static_cast<int64_t>(l) * inner] : T(0);
    const int end = counts ? classes : 0;
    int higher = 0;
    for (int c = team.rank(); c < end; c += team.size()) {
      higher += !(scores[static_cast<int64_t>(c) * inner] < own);  // NaN does not count as lower
    }
    higher = team.sum(higher) - 1;  // its own score is not lower than itself
    if (team.rank() == 0) right[i] = counts && higher < top_k && own == own ? T(1) : T(0);
  }
};

template <typename T>
struct StoreShare {
  const int* valid;
  T* share;
  CAFFE_HD void operator()(int, T right, T) const {
    *share = *valid == 0 ? T(0) : right / T(*valid);
  }
};

/// On the GPU a team counts the items of one class.
template <typename T>
struct ClassShare {
  int count;
  bool has_ignore;
  int ignore;
  const T* label;
  const T* right;
  T* items;  // [classes]
  T* share;  // [classes]
  template <typename Team>
  CAFFE_HD void operator()(int c, const Team& team) const {
    int all = 0, good = 0;
    for (int i = team.rank(); i < count && !(has_ignore && c == ignore); i += Team::size()) {
      if (static_cast<int>(label[i]) != c) continue;
      ++all;
      good += right[i] != T(0);
    }
    all = team.sum(all);
    good = team.sum(good);
    if (team.rank() != 0) return;
    items[c] = T(all);
    share[c] = all == 0 ? T(0) : T(good) / T(all);
  }
};

}  // namespace

template <typename Dtype>
void AccuracyLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const AccuracyParameter& param = this->layer_param_.accuracy_param();
  top_k_ = static_cast<int>(param.top_k());
  has_ignore_label_ = param.has_ignore_label();
  ignore_label_ = param.ignore_label();
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  label_axis_ = axis_of(*this, *bottom[0], this->layer_param_.accuracy_param().axis());
  outer_num_ = bottom[0]->count(0, label_axis_);
  inner_num_ = bottom[0]->count(label_axis_ + 1);
  const int classes = bottom[0]->shape(label_axis_);
  CAFFE_CHECK(top_k_ <= classes, this->name()
                                     << "top_k is " << top_k_ << ", and there are " << classes
                                     << " classes on axis " << label_axis_ << " of the scores");
  CAFFE_CHECK(bottom[1]->count() == outer_num_ * inner_num_,
              this->name() << "takes one label for each item: the scores are "
                           << bottom[0]->shape_string() << " with the classes on axis "
                           << label_axis_ << ", so there must be " << outer_num_ * inner_num_
                           << " labels; the labels are " << bottom[1]->shape_string());
  right_.Reshape(bottom[1]->shape());
  top[0]->Reshape(vector<int>());
  if (top.size() > 1) {
    top[1]->Reshape({classes});
    nums_buffer_.Reshape({classes});
  }
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int classes = bottom[0]->shape(label_axis_), count = bottom[1]->count();
  const LabelRange range = {classes, has_ignore_label_, ignore_label_};
  const Right<Dtype> item = {classes,
                             inner_num_,
                             top_k_,
                             has_ignore_label_,
                             ignore_label_,
                             bottom[0]->active_data(),
                             bottom[1]->active_data(),
                             right_.mutable_active_data()};
  if (current_device() == Device::kGPU) {
    const int* const counted = check_labels_on_gpu(*this, *bottom[1], range, &label_counts_);
    gpu_total_of_items(count, classes, inner_num_, item, Listed<Dtype>{item.right},
                       StoreShare<Dtype>{counted, top[0]->mutable_gpu_data()});
    if (top.size() == 1) return;
    maap::internal::gpu_tiles(
        classes, ClassShare<Dtype>{count, has_ignore_label_, ignore_label_, item.label, item.right,
                                   nums_buffer_.mutable_gpu_data(), top[1]->mutable_gpu_data()});
    return;
  }
  const int valid = count_labels(*this, *bottom[1], range);
  parallel_items(count, classes, inner_num_, item);
  const Dtype* const right = right_.cpu_data();
  int64_t all = 0;
  for (int i = 0; i < count; ++i) all += right[i] != Dtype(0);
  top[0]->mutable_cpu_data()[0] = valid == 0 ? Dtype(0) : Dtype(all) / valid;
  if (top.size() == 1) return;

  const Dtype* const label = bottom[1]->cpu_data();
  Dtype* const share = top[1]->mutable_cpu_data();
  Dtype* const items = nums_buffer_.mutable_cpu_data();
  std::fill_n(share, classes, Dtype(0));
  std::fill_n(items, classes, Dtype(0));
  for (int i = 0; i < count; ++i) {
    const int l = static_cast<int>(label[i]);
    if (has_ignore_label_ && l == ignore_label_) continue;
    share[l] += right[i];
    items[l] += Dtype(1);
  }
  for (int c = 0; c < classes; ++c)
    share[c] = items[c] == Dtype(0) ? Dtype(0) : share[c] / items[c];
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Backward_any(const Blobs&, const vector<bool>& propagate_down,
                                        const Blobs&) {
  for (size_t i = 0; i < propagate_down.size(); ++i) {
    CAFFE_CHECK(!propagate_down[i], this->name() << "has no gradient: it cannot be part of a loss");
  }
}

INSTANTIATE_CLASS(AccuracyLayer);
REGISTER_LAYER_CLASS(Accuracy);

}  // namespace caffe
