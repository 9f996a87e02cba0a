#include "caffe/layers/metric/l1_loss_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/gpu_total.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// d at a place of the bottoms.
template <typename T>
struct Entries {
  const T* a;
  const T* b;      // null: 0
  bool drops_nan;  // as 0
  CAFFE_HD T at(int64_t i) const { return b == nullptr ? a[i] : a[i] - b[i]; }
  CAFFE_HD T kept(int64_t i) const {
    const T d = at(i);
    return drops_nan && d != d ? T(0) : d;
  }
  CAFFE_HD T counts(int64_t i) const {
    const T d = at(i);
    return d == d ? T(1) : T(0);
  }
};

/// One term for each d.
template <typename T>
struct AbsoluteTerms {
  Entries<T> entry;
  T plateau;
  T *terms, *entries, *slopes;
  CAFFE_HD void operator()(int i) const {
    const T d = entry.kept(i);
    const bool dropped = std::fabs(d) < plateau;
    terms[i] = dropped ? T(0) : std::fabs(d);
    slopes[i] = dropped || d == T(0) ? T(0) : d < T(0) ? T(-1) : T(1);
    entries[i] = entry.counts(i);
  }
};

/// One term for each place of each item.
template <typename T>
struct RootTerms {
  Entries<T> entry;
  int channels, inner;
  T scale, plateau, epsilon;
  T *terms, *entries, *slopes;
  CAFFE_HD void operator()(int place) const {
    int64_t at = static_cast<int64_t>(place / inner) * channels * inner + place % inner;
    T sum = T(0), count = T(0);
    for (int c = 0; c < channels; ++c, at += inner) {
      const T d = entry.kept(at);
      sum += d * d;
      count += entry.counts(at);
    }
    sum *= scale;
    const bool dropped = sum < plateau * plateau;
    const T root = std::sqrt((dropped ? T(0) : sum) + epsilon);
    terms[place] = root;
    slopes[place] = dropped || root == T(0) ? T(0) : scale / root;
    entries[place] = count;
  }
};

/// For gpu_total: the terms, and the numbers of entries.
template <typename T, typename Terms>
struct TermSums {
  using Value = T;
  Terms terms;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    terms(i);
    return terms.terms[i];
  }
  template <typename W>
  CAFFE_HD W second(int, int i) const {
    return terms.entries[i];
  }
};

template <typename T>
struct StoreL1 {
  T items;  // N, or 0: Z is the number of entries by the channels
  T channels;
  T *divisor, *loss;
  CAFFE_HD void operator()(int, T sum, T entries) const {
    const T z = items > T(0) ? items : entries / channels;
    *divisor = z;
    *loss = z == T(0) ? T(0) : sum / z;
  }
};

template <typename T>
struct L1Gradient {
  T sign;
  const T *dy, *divisor;
  CAFFE_HD T factor() const { return *divisor == T(0) ? T(0) : sign * *dy / *divisor; }
};

template <typename T>
struct AbsoluteGradient {
  L1Gradient<T> by;
  const T* slopes;
  T* dx;
  CAFFE_HD void operator()(int i) const { dx[i] = by.factor() * slopes[i]; }
};

/// Rows are items x channels.
template <typename T>
struct RootGradient {
  L1Gradient<T> by;
  Entries<T> entry;
  int channels, inner;
  const T* slopes;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int place = row / channels * inner + (i - row * inner);
    dx[i] = by.factor() * entry.kept(i) * slopes[place];
  }
};

}  // namespace

template <typename Dtype>
void L1LossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const LayerParameter& param = this->layer_param_;
  flownet_ = param.has_l1_loss_param() || bottom.size() == 1 || param.dialect() == "flownet2" ||
             param.dialect() == "synopsys";
  by_place_ = flownet_ && param.l1_loss_param().l2_per_location();
  const L1LossParameter& l1 = param.l1_loss_param();
  CAFFE_CHECK(l1.epsilon() >= 0 && l1.plateau() >= 0,
              this->name() << "l1_loss_param's epsilon is " << l1.epsilon() << " and plateau "
                           << l1.plateau() << "; both must be at least 0");
}

template <typename Dtype>
void L1LossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() > 0, this->name()
                                             << "bottom 0 has no axis of items: it is one number");
  if (bottom.size() > 1) {
    const bool same = flownet_ ? bottom[0]->shape() == bottom[1]->shape()
                               : bottom[1]->num_axes() > 0 &&
                                     bottom[0]->shape(0) == bottom[1]->shape(0) &&
                                     bottom[0]->count() == bottom[1]->count();
    CAFFE_CHECK(same, this->name() << "both bottoms must have the same "
                                   << (flownet_ ? "shape" : "number of items, of the same size")
                                   << "; they are " << bottom[0]->shape_string() << " and "
                                   << bottom[1]->shape_string());
  }
  channels_ = bottom[0]->num_axes() > 1 ? bottom[0]->shape(1) : 1;
  inner_ = bottom[0]->num_axes() > 1 ? bottom[0]->count(2) : 1;
  const int count = by_place_ ? bottom[0]->shape(0) * inner_ : bottom[0]->count();
  for (Blob<Dtype>* const blob : {&terms_, &entries_, &slopes_}) blob->Reshape({count});
  divisor_.Reshape({1});
  top[0]->Reshape(std::vector<int>());
}

template <typename Dtype>
template <typename Terms>
void L1LossLayer<Dtype>::add_up(const Terms& terms, int work, const Blob<Dtype>& like,
                                const Blobs& top) {
  const int count = terms_.count();
  const bool by_entries = flownet_ && this->layer_param_.l1_loss_param().normalize_by_num_entries();
  const StoreL1<Dtype> store = {by_entries ? Dtype(0) : Dtype(std::max(1, like.shape(0))),
                                Dtype(std::max(1, channels_)), divisor_.mutable_active_data(),
                                top[0]->mutable_active_data()};
  if (current_device() == Device::kGPU) {
    gpu_total(count, TermSums<Dtype, Terms>{terms}, store);
    return;
  }
  parallel_rows(count, work, terms);
  double sum = 0, entries = 0;
  for (int i = 0; i < count; ++i) {
    sum += terms.terms[i];
    entries += terms.entries[i];
  }
  store(0, static_cast<Dtype>(sum), static_cast<Dtype>(entries));
}

template <typename Dtype>
void L1LossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const L1LossParameter& param = this->layer_param_.l1_loss_param();
  const Entries<Dtype> entry = {bottom[0]->active_data(),
                                bottom.size() > 1 ? bottom[1]->active_data() : nullptr, flownet_};
  Dtype* const terms = terms_.mutable_active_data();
  Dtype* const entries = entries_.mutable_active_data();
  Dtype* const slopes = slopes_.mutable_active_data();
  const Dtype plateau = flownet_ ? Dtype(param.plateau()) : Dtype(0);
  if (by_place_) {
    const Dtype scale = param.l2_prescale_by_channels() ? Dtype(1) / channels_ : Dtype(1);
    add_up(RootTerms<Dtype>{entry, channels_, inner_, scale, plateau, Dtype(param.epsilon()), terms,
                            entries, slopes},
           channels_, *bottom[0], top);
  } else {
    add_up(AbsoluteTerms<Dtype>{entry, plateau, terms, entries, slopes}, 1, *bottom[0], top);
  }
}

template <typename Dtype>
void L1LossLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  const Entries<Dtype> entry = {bottom[0]->active_data(),
                                bottom.size() > 1 ? bottom[1]->active_data() : nullptr, flownet_};
  for (size_t k = 0; k < bottom.size(); ++k) {
    if (!propagate_down[k]) continue;
    const L1Gradient<Dtype> by = {k == 0 ? Dtype(1) : Dtype(-1), top[0]->active_diff(),
                                  divisor_.active_data()};
    Dtype* const dx = bottom[k]->mutable_active_diff();
    if (by_place_) {
      parallel_planes(bottom[0]->shape(0) * channels_, inner_,
                      RootGradient<Dtype>{by, entry, channels_, inner_, slopes_.active_data(), dx});
    } else {
      parallel_for(bottom[0]->count(), AbsoluteGradient<Dtype>{by, slopes_.active_data(), dx});
    }
  }
}

INSTANTIATE_CLASS(L1LossLayer);
REGISTER_LAYER_CLASS(L1Loss);

}  // namespace caffe
