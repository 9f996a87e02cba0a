#include "caffe/layers/batch_norm_layer.hpp"

#include <cmath>

#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/active.hpp"
#include "caffe/util/channel_norm.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

/// Updates the averages with a batch.
template <typename T>
struct Average {
  T fraction, correction;
  const T* mean;
  const T* variance;
  T* means;      // [channels], blobs[0]
  T* variances;  // [channels], blobs[1]
  T* weight;     // [1], blobs[2]
  CAFFE_HD void operator()(int c) const {
    means[c] = fraction * means[c] + mean[c];
    variances[c] = fraction * variances[c] + correction * variance[c];
    if (c == 0) weight[0] = fraction * weight[0] + T(1);
  }
};

/// The same by the rule of NVIDIA's fork: the averages of the first batch are its own, and the
/// weight is always 1.
template <typename T>
struct NvidiaAverage {
  T fraction, correction;
  const T* mean;
  const T* variance;
  const T* weight;
  T* means;
  T* variances;
  CAFFE_HD void operator()(int c) const {
    const bool first = weight[0] == T(0);
    const T kept = first ? T(0) : fraction / weight[0], added = first ? T(1) : T(1) - fraction;
    means[c] = kept * means[c] + added * mean[c];
    variances[c] = kept * variances[c] + added * correction * variance[c];
  }
};

template <typename T>
struct TakeAverage {
  const T* means;
  const T* variances;
  const T* weight;
  T* mean;
  T* variance;
  CAFFE_HD void operator()(int c) const {
    const T scale = weight[0] == T(0) ? T(0) : T(1) / weight[0];
    mean[c] = scale * means[c];
    variance[c] = scale * variances[c];
  }
};

template <typename T>
struct Factor {
  T eps;
  const T* variance;
  T* factor;
  CAFFE_HD void operator()(int c) const { factor[c] = T(1) / std::sqrt(variance[c] + eps); }
};

/// The gradient if mean and variance are constants.
template <typename T>
struct GlobalGradient {
  Divisor channels;
  const maap::Computed<T>* factor;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const { dx[i] = factor[row % channels] * dy[i]; }
};

}  // namespace

template <typename Dtype>
void BatchNormLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const BatchNormParameter& param = this->layer_param_.batch_norm_param();
  use_global_stats_ =
      param.has_use_global_stats() ? param.use_global_stats() : this->phase_ == TEST;
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  const int channels = bottom[0]->shape(1);
  const FillerParameter zero;
  make_learnt(*this,
              {{"means", {channels}, zero}, {"variances", {channels}, zero}, {"weight", {1}, zero}},
              &this->blobs_);
  for (int i = 0; i < 3; ++i) {
    if (this->layer_param_.param_size() == i) this->layer_param_.add_param()->set_lr_mult(0);
    if (as_nvidia()) this->layer_param_.mutable_param(i)->set_lr_mult(0);
    CAFFE_CHECK(this->layer_param_.param(i).lr_mult() == 0,
                this->name() << "param " << i << " has lr_mult "
                             << this->layer_param_.param(i).lr_mult()
                             << ", but its blobs are statistics that no solver may change: write "
                             << "lr_mult: 0, or leave the params out");
  }
  this->param_propagate_down_.resize(3, false);
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const int channels = this->blobs_[0]->count();
  CAFFE_CHECK(bottom[0]->num_axes() >= 2 && bottom[0]->shape(1) == channels,
              this->name() << "has statistics of " << channels
                           << " channels, and the bottom's shape is now "
                           << bottom[0]->shape_string());
  for (Blob<Dtype>* blob : {&mean_, &variance_, &factor_}) blob->Reshape({channels});
  if (bottom[0] != top[0]) {
    top[0]->ReshapeLike(*bottom[0]);
  } else if (!use_global_stats_) {
    x_norm_.ReshapeLike(*bottom[0]);
  }
}

template <typename Dtype>
template <typename T>
void BatchNormLayer<Dtype>::take_batch_statistics(const Values<Dtype, T>& values,
                                                  const Blob<Dtype>& x) {
  const ChannelShape cut = channels_of(values.order, x.shape());
  const double count = cut.per_channel();
  CAFFE_CHECK(count > 0, this->name() << "an empty batch has no mean; the bottom's shape is "
                                      << x.shape_string());
  channel_moments<T>(cut, values.data(x), mean_.mutable_active_data(),
                     variance_.mutable_active_data(), &sums_);
  enter_averages(count);
}

template <typename Dtype>
void BatchNormLayer<Dtype>::enter_averages(double count) {
  const Dtype correction = static_cast<Dtype>(count > 1 ? count / (count - 1) : 1);
  const Dtype fraction = this->layer_param_.batch_norm_param().moving_average_fraction();
  if (as_nvidia()) {
    parallel_for(
        mean_.count(),
        NvidiaAverage<Dtype>{fraction, correction, mean_.active_data(), variance_.active_data(),
                             this->blobs_[2]->active_data(), this->blobs_[0]->mutable_active_data(),
                             this->blobs_[1]->mutable_active_data()});
    return active_set(1, Dtype(1), this->blobs_[2]->mutable_active_data());
  }
  parallel_for(
      mean_.count(),
      Average<Dtype>{fraction, correction, mean_.active_data(), variance_.active_data(),
                     this->blobs_[0]->mutable_active_data(), this->blobs_[1]->mutable_active_data(),
                     this->blobs_[2]->mutable_active_data()});
}

template <typename Dtype>
void BatchNormLayer<Dtype>::take_averages() {
  parallel_for(mean_.count(),
               TakeAverage<Dtype>{this->blobs_[0]->active_data(), this->blobs_[1]->active_data(),
                                  this->blobs_[2]->active_data(), mean_.mutable_active_data(),
                                  variance_.mutable_active_data()});
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (this->runs_again()) return forward_again(*bottom[0], top[0]);
  with_values<Dtype>(data_format(*bottom[0]),
                     [&](auto values) { forward(values, *bottom[0], top[0]); });
}

template <typename Dtype>
template <typename T>
Affine<T> BatchNormLayer<Dtype>::affine(const BehindNorm<Dtype>& behind) const {
  const Blob<Dtype>*const scale = behind.factors(), *const shift = behind.shifts();
  return {scale == nullptr ? nullptr : scale->active_data(),
          shift == nullptr ? nullptr : shift->active_data(), behind.has_relu()};
}

template <typename Dtype>
template <typename T>
void BatchNormLayer<Dtype>::forward(const Values<Dtype, T>& values, const Blob<Dtype>& bottom,
                                    Blob<Dtype>* top) {
  const ChannelShape cut = channels_of(values.order, bottom.shape());
  if (use_global_stats_) {
    take_averages();
  } else {
    take_batch_statistics(values, bottom);
  }
  const Dtype eps = this->layer_param_.batch_norm_param().eps();
  parallel_for(cut.channels,
               Factor<Dtype>{eps, variance_.active_data(), factor_.mutable_active_data()});
  BehindNorm<Dtype> behind;
  if (current_device() == Device::kGPU) behind = {this->followers(), bottom.shape()};
  kept_y_ = &bottom == top && (!use_global_stats_ || behind.learns_factors());
  if (kept_y_) {
    x_norm_.ReshapeLike(bottom);
    // A Scale may have kept the last pass's y.
    const bool is_shared = x_norm_.data().use_count() > 1;
    if (is_shared && !this->goes_on()) x_norm_.ShareData(Blob<Dtype>(bottom.shape()));
  }
  const T* const x = values.data(bottom);
  T* const z = values.mutable_data(top);
  T* const kept = kept_y_ ? values.mutable_data(&x_norm_) : nullptr;
  if (behind.count() == 0) {
    normalise<T>(cut, mean_.active_data(), factor_.active_data(), x, z, kept);
    if (kept_y_) top->data()->set_twin(x_norm_.data());
  } else {
    affine_normalise<T>(cut, mean_.active_data(), factor_.active_data(), affine<T>(behind), x, z,
                        kept);
    this->take(behind.count(), TakesFollowers<Dtype>::Gradient::kTogether);
  }
}

/// In place, the bottom holds what is behind the layers that were taken. If y was not kept, nobody
/// needs it: the caller puts the values back, and a Scale that keeps its bottom learns. The layers
/// that were taken run on whatever there is.
template <typename Dtype>
void BatchNormLayer<Dtype>::forward_again(const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  const bool in_place = &bottom == top;
  if (in_place && !kept_y_) {
    if (top->data()->is_given_up()) top->mutable_active_data();
    return;
  }
  const Blob<Dtype>& from = in_place ? x_norm_ : bottom;
  with_values<Dtype>(data_format(from), [&](auto values) {
    using T = typename decltype(values)::Type;
    if (in_place) {
      copy_values(values, x_norm_, top);
      return top->data()->set_twin(x_norm_.data());
    }
    const T* const x = values.data(bottom);
    normalise<T>(channels_of(values.order, bottom.shape()), mean_.active_data(),
                 factor_.active_data(), x, values.mutable_data(top));
  });
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  const BehindNorm<Dtype> behind(this->followers(), bottom[0]->shape());
  const bool down = propagate_down[0];
  if (!down && !behind.learns()) return;
  with_values<Dtype>(gradient_format(*bottom[0], *top[0]), [&](auto values) {
    if (behind.count() == 0) return backward(values, *top[0], bottom[0]);
    backward_together(values, behind, down, top[0], bottom[0]);
  });
}

template <typename Dtype>
template <typename T>
void BatchNormLayer<Dtype>::backward(const Values<Dtype, T>& values, const Blob<Dtype>& top,
                                     Blob<Dtype>* bottom) {
  const ChannelShape cut = channels_of(values.order, bottom->shape());
  const T* const dy = values.diff(top);
  if (use_global_stats_) {
    parallel_planes(
        cut.rows(), cut.inner,
        GlobalGradient<T>{cut.channels, factor_.active_data(), dy, values.mutable_diff(bottom)});
    return;
  }
  const bool in_place = bottom == &top;
  CAFFE_CHECK(!in_place || x_norm_.shape() == bottom->shape(),
              this->name() << "a backward pass needs a forward pass before it, of the same shape");
  const NormalisedValues<T> y = {in_place ? values.data(x_norm_) : nullptr,
                                 in_place ? nullptr : values.data(*bottom), mean_.active_data(),
                                 factor_.active_data()};
  normalise_backward<T>(cut, y, nullptr, dy, values.mutable_diff(bottom), &means_, &sums_);
}

template <typename Dtype>
template <typename T>
void BatchNormLayer<Dtype>::backward_together(const Values<Dtype, T>& values,
                                              const BehindNorm<Dtype>& behind, bool down,
                                              Blob<Dtype>* top, Blob<Dtype>* bottom) {
  const ChannelShape cut = channels_of(values.order, bottom->shape());
  const bool in_place = bottom == top, by_z = in_place && !kept_y_ && behind.has_relu();
  const AffineValues<T> pass = {
      affine<T>(behind),
      {kept_y_ ? values.data(x_norm_) : nullptr, in_place ? nullptr : values.data(*bottom),
       mean_.active_data(), factor_.active_data()},
      by_z ? values.data(*top) : nullptr};
  const bool by_batch = down && !use_global_stats_;
  CAFFE_CHECK(pass.knows_y() || !(by_batch || behind.learns_factors()),
              this->name() << "a backward pass needs a forward pass before it");
  const T* const dz = values.diff(*top);
  Dtype* const d_scale =
      behind.learns_factors() ? behind.factors()->mutable_active_diff() : nullptr;
  Dtype* const d_shift = behind.learns_shifts() ? behind.shifts()->mutable_active_diff() : nullptr;
  T* const dx = down ? values.mutable_diff(bottom) : nullptr;
  affine_backward<T>(cut, pass, dz, {by_batch, dx, d_scale, d_shift}, &means_, &sums_);
  if (!this->keeps_gradient() || (in_place && down)) return;
  affine_leave<T>(cut, pass, down, dz, values.mutable_diff(top));
}

INSTANTIATE_CLASS(BatchNormLayer);  // scaled_batch_norm_layer.cpp registers the type

}  // namespace caffe
