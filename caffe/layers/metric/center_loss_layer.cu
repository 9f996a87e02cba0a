#include "caffe/layers/metric/center_loss_layer.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Features, labels and centres.
template <typename T>
struct Faces {
  int items, length, classes;
  const T* x;        // [items, length]
  const T* labels;   // [items]
  const T* centres;  // [classes, length]
  /// The class of an item, or -1: on a GPU wrong labels are found late.
  CAFFE_HD int class_of(int item) const {
    const int label = static_cast<int>(labels[item]);
    return label >= 0 && label < classes ? label : -1;
  }
  CAFFE_HD const T* centre(int label) const {
    return centres + static_cast<int64_t>(label) * length;
  }
  CAFFE_HD const T* features(int item) const { return x + static_cast<int64_t>(item) * length; }
};

/// Half of the squared distance.
template <typename T>
struct CentreDistance {
  Faces<T> faces;
  T* loss;  // [items]
  template <typename Team>
  CAFFE_HD void operator()(int item, const Team& team) const {
    const int label = faces.class_of(item);
    T sum = T(0);
    for (int k = team.rank(); label >= 0 && k < faces.length; k += team.size()) {
      const T d = faces.features(item)[k] - faces.centre(label)[k];
      sum += d * d;
    }
    sum = team.sum(sum);
    if (team.rank() == 0) loss[item] = sum / T(2);
  }
};

template <typename T, typename Factor>
struct FeatureGradient {
  Faces<T> faces;
  Factor factor;
  T* dx;  // as x
  CAFFE_HD void operator()(int item, int i) const {
    const int label = faces.class_of(item);
    const int k = i - item * faces.length;
    dx[i] = label < 0 ? T(0) : value_of(factor) * (faces.x[i] - faces.centre(label)[k]);
  }
};

/// What the centre of an item's class gets, if the item is the first of its class.
template <typename T>
struct CentreUpdate {
  Faces<T> faces;
  T* dc;  // [classes, length]
  /// 1 + the number of items of the class, or 0 if the item is not the first of them.
  CAFFE_HD int divisor(int item, int label) const {
    for (int j = 0; j < item; ++j) {
      if (faces.class_of(j) == label) return 0;
    }
    int count = 1;
    for (int j = item; j < faces.items; ++j) count += faces.class_of(j) == label;
    return count;
  }
  CAFFE_HD void add(int item, int label, T by, int k) const {
    const T centre = faces.centre(label)[k];
    T sum = T(0);
    for (int j = item; j < faces.items; ++j) {
      if (faces.class_of(j) == label) sum += centre - faces.features(j)[k];
    }
    dc[static_cast<int64_t>(label) * faces.length + k] += sum * by;
  }
};

/// All of a centre's values: on the CPU, the search for a class's items is done once.
template <typename T>
struct CentreRow {
  CentreUpdate<T> update;
  CAFFE_HD void operator()(int item) const {
    const int label = update.faces.class_of(item);
    const int divisor = label < 0 ? 0 : update.divisor(item, label);
    for (int k = 0; divisor > 0 && k < update.faces.length; ++k) {
      update.add(item, label, T(1) / T(divisor), k);
    }
  }
};

template <typename T>
struct CentreValue {
  CentreUpdate<T> update;
  CAFFE_HD void operator()(int i) const {
    const int item = i / update.faces.length, label = update.faces.class_of(item);
    const int divisor = label < 0 ? 0 : update.divisor(item, label);
    if (divisor > 0) update.add(item, label, T(1) / T(divisor), i % update.faces.length);
  }
};

}  // namespace

template <typename Dtype>
void CenterLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const CenterLossParameter& param = this->layer_param_.center_loss_param();
  CAFFE_CHECK(param.num_output() >= 1,
              this->name() << "center_loss_param must give num_output, the number of classes");
  CAFFE_CHECK(param.distance_type() == "L2",
              this->name() << "center_loss_param's distance_type is '" << param.distance_type()
                           << "'; this engine has 'L2' alone");
  length_ = bottom[0]->count(axis_of(*this, *bottom[0], param.axis()));
  make_learnt(*this,
              {{"centres", {static_cast<int>(param.num_output()), length_}, param.center_filler()}},
              &this->blobs_);
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
void CenterLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  const int axis = axis_of(*this, *bottom[0], this->layer_param_.center_loss_param().axis());
  items_ = bottom[0]->count(0, axis);
  CAFFE_CHECK(bottom[0]->count(axis) == length_,
              this->name() << "its centres have " << length_ << " features, and the items "
                           << bottom[0]->count(axis) << " (shape " << bottom[0]->shape_string()
                           << ")");
  CAFFE_CHECK(bottom[1]->count() == items_, this->name() << "takes one label for each of the "
                                                         << items_ << " items; the labels "
                                                         << "are " << bottom[1]->shape_string());
  item_loss_.Reshape({items_});
}

template <typename Dtype>
void CenterLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int classes = this->blobs_[0]->shape(0);
  const LabelRange range = {classes, false, 0};
  const CentreDistance<Dtype> item = {{items_, length_, classes, bottom[0]->active_data(),
                                       bottom[1]->active_data(), this->blobs_[0]->active_data()},
                                      item_loss_.mutable_active_data()};
  const Dtype divisor = std::max(1, items_);
  if (current_device() == Device::kGPU) {
    check_labels_on_gpu(*this, *bottom[1], range, &label_counts_);
    gpu_loss_of_items<Dtype>(items_, length_, 1, item, item.loss, {divisor, nullptr},
                             top[0]->mutable_gpu_data());
    return;
  }
  count_labels(*this, *bottom[1], range);
  parallel_items(items_, length_, 1, item);
  top[0]->mutable_cpu_data()[0] = caffe_asum(items_, item.loss) / divisor;  // none is negative
}

template <typename Dtype>
void CenterLossLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                          const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  const Faces<Dtype> faces = {items_,
                              length_,
                              this->blobs_[0]->shape(0),
                              bottom[0]->active_data(),
                              bottom[1]->active_data(),
                              this->blobs_[0]->active_data()};
  if (this->param_propagate_down_[0]) {
    const CentreUpdate<Dtype> update = {faces, this->blobs_[0]->mutable_active_diff()};
    maap::parallel_for(current_device(), items_, length_, CentreRow<Dtype>{update},
                       static_cast<int64_t>(items_) * length_, CentreValue<Dtype>{update});
  }
  if (!propagate_down[0]) return;
  const auto run = [&](const auto& factor) {
    parallel_planes(items_, length_,
                    FeatureGradient<Dtype, std::decay_t<decltype(factor)>>{
                        faces, factor, bottom[0]->mutable_active_diff()});
  };
  if (current_device() == Device::kGPU) {
    run(LossFactor<Dtype>{Dtype(1), top[0]->gpu_diff(), {Dtype(items_), nullptr}});
  } else {
    run(Dtype(top[0]->cpu_diff()[0] / items_));
  }
}

INSTANTIATE_CLASS(CenterLossLayer);
REGISTER_LAYER_CLASS(CenterLoss);

}  // namespace caffe
