#include "caffe/layers/segmentation/bn_layer.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/normalised_values.hpp"

namespace caffe {

namespace {

constexpr float kSegNetEps = 1e-9f;

/// average = momentum average + (1 - momentum) batch's
template <typename T>
struct EnterAverages {
  T momentum;
  const T* mean;
  const T* variance;
  T* means;
  T* variances;
  CAFFE_HD void operator()(int c) const {
    means[c] = momentum * means[c] + (T(1) - momentum) * mean[c];
    variances[c] = momentum * variances[c] + (T(1) - momentum) * variance[c];
  }
};

template <typename T>
struct TakeStatistics {
  T eps;
  const T* means;      // null: 0
  const T* variances;  // null: the factor is 1
  T* mean;
  T* factor;
  CAFFE_HD void operator()(int c) const {
    mean[c] = means == nullptr ? T(0) : means[c];
    factor[c] = variances == nullptr ? T(1) : T(1) / std::sqrt(variances[c] + eps);
  }
};

template <typename T>
struct BNForward {
  Divisor channels;
  const T* mean;
  const T* factor;
  const T* slope;
  const T* bias;
  const T* x;  // [outer, channels, inner]
  T* y;        // as x
  T* kept;     // as x, for n, or null
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    const T n = (x[i] - mean[c]) * factor[c];
    y[i] = slope[c] * n + bias[c];
    if (kept != nullptr) kept[i] = n;
  }
};

template <typename T>
struct StoreGradientSums {
  double count;  // values per channel
  T* dslope;     // [channels] or null; added to
  T* dbias;      // [channels] or null; added to
  T* of_dy;      // [channels], means
  T* of_dy_n;    // [channels]
  CAFFE_HD void operator()(int c, double sum, double product) const {
    if (dslope != nullptr) dslope[c] += static_cast<T>(product);
    if (dbias != nullptr) dbias[c] += static_cast<T>(sum);
    of_dy[c] = static_cast<T>(sum / count);
    of_dy_n[c] = static_cast<T>(product / count);
  }
};

/// The gradient if mean and variance depend on x.
template <typename T>
struct BatchGradient {
  Divisor channels;
  NormalisedValues<T> n;
  const T* slope;
  const T* of_dy;
  const T* of_dy_n;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    const T rest = dy[i] - of_dy[c] - value_of(n, c, i) * of_dy_n[c];
    dx[i] = slope[c] * n.factor[c] * rest;
  }
};

/// The gradient if they are constants.
template <typename T>
struct FixedGradient {
  Divisor channels;
  const T* slope;
  const T* factor;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    dx[i] = slope[c] * factor[c] * dy[i];
  }
};

FillerParameter constant(float value) {
  FillerParameter filler;
  filler.set_type("constant");
  filler.set_value(value);
  return filler;
}

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

template <typename Dtype>
bool BNLayer<Dtype>::has_averages(size_t tops) const {
  const BNParameter& p = this->layer_param_.bn_param();
  const std::string& dialect = this->layer_param_.dialect();
  const bool pspnet = p.has_slope_filler() || p.has_bias_filler() || p.has_momentum() ||
                      p.has_eps() || p.has_frozen();
  const bool segnet = p.has_scale_filler() || p.has_shift_filler() || p.has_bn_mode();
  const auto warn = [&](bool others, const char* own, const char* fields) {
    LOG_IF(WARNING, others && Caffe::root_solver())
        << this->name() << "it is " << own << " BN by its dialect, " << dialect << ": " << fields
        << " of bn_param have no effect";
  };
  if (is_one_of(dialect, {"pspnet", "icnet", "deeplab2", "deeplab2x", "happynear",
                          "arcface_xialuxi", "brocolli_inisis"})) {
    warn(segnet, "PSPNet's", "scale_filler, shift_filler and bn_mode");
    return true;
  }
  if (is_one_of(dialect, {"segnet", "enet", "deconvnet"})) {
    warn(pspnet, "SegNet's", "slope_filler, bias_filler, momentum, eps and frozen");
    return false;
  }
  CAFFE_CHECK(!pspnet || !segnet,
              this->name() << "bn_param has fields of PSPNet's BN (slope_filler, bias_filler, "
                           << "momentum, eps, frozen) and of SegNet's (scale_filler, shift_filler, "
                           << "bn_mode): remove those of one, or write dialect: \"pspnet\" or "
                           << "\"segnet\" in the layer");
  if (pspnet || segnet) return pspnet;
  if (dialect == "synopsys") return false;  // it has both; the fields come first
  const size_t stored = this->blobs_.size();
  if (stored == 4 || stored == 2) return stored == 4;
  if (this->layer_param_.param_size() > 2) return true;
  if (this->layer_param_.param_size() == 2 || tops > 1) return false;
  CAFFE_FAIL(this->name() << "nothing in it tells whether it is PSPNet's BN, with four blobs, or "
                          << "SegNet's, with two: write dialect: \"pspnet\" or \"segnet\" in the "
                          << "layer");
}

template <typename Dtype>
void BNLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const BNParameter& p = this->layer_param_.bn_param();
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  averages_ = has_averages(top.size());
  if (averages_) {
    source_ = p.frozen() || this->phase_ == TEST ? Source::kAverages : Source::kBatch;
  } else {
    source_ = p.bn_mode() == BNParameter::INFERENCE ? Source::kNone : Source::kBatch;
  }
  CAFFE_CHECK(
      top.size() == 1 || (!averages_ && source_ == Source::kBatch),
      this->name() << "only SegNet's BN with bn_mode: LEARN has tops for mean and variance; "
                   << "remove the tops behind the first");
  make_blobs(bottom[0]->shape(1));
  const bool frozen = averages_ && p.frozen();
  this->param_propagate_down_.resize(this->blobs_.size(), false);
  for (int i = 0; i < 2; ++i) this->param_propagate_down_[i] = !frozen;
  if (averages_) fix_multipliers(frozen ? 0 : 2);
}

template <typename Dtype>
void BNLayer<Dtype>::make_blobs(int channels) {
  const BNParameter& p = this->layer_param_.bn_param();
  const std::vector<int> shape = {1, channels, 1, 1};
  if (averages_) {
    make_learnt(*this,
                {{"slopes", shape, p.slope_filler()},
                 {"biases", shape, p.bias_filler()},
                 {"averages of the mean", shape, constant(0)},
                 {"averages of the variance", shape, constant(p.frozen() ? 1.f : 0.f)}},
                &this->blobs_);
  } else {
    make_learnt(*this, {{"scales", shape, p.scale_filler()}, {"shifts", shape, p.shift_filler()}},
                &this->blobs_);
  }
}

template <typename Dtype>
void BNLayer<Dtype>::fix_multipliers(int first_fixed) {
  for (int i = 0; i < 4; ++i) {
    if (this->layer_param_.param_size() == i) this->layer_param_.add_param();
    if (i < first_fixed) continue;
    this->layer_param_.mutable_param(i)->set_lr_mult(0);
    this->layer_param_.mutable_param(i)->set_decay_mult(0);
  }
}

template <typename Dtype>
void BNLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const int channels = this->blobs_[0]->count();
  CAFFE_CHECK(bottom[0]->num_axes() >= 2 && bottom[0]->shape(1) == channels,
              this->name() << "was made for " << channels << " channels, and the bottom's shape is "
                           << "now " << bottom[0]->shape_string());
  for (Blob<Dtype>* blob : {&mean_, &variance_, &factor_}) blob->Reshape({channels});
  means_.Reshape({2, channels});
  if (bottom[0] != top[0]) top[0]->ReshapeLike(*bottom[0]);
  if (keeps_values(bottom, top)) kept_.ReshapeLike(*bottom[0]);
  for (size_t i = 1; i < top.size(); ++i) top[i]->Reshape({1, channels, 1, 1});
}

template <typename Dtype>
void BNLayer<Dtype>::take_statistics(Order order, const Blob<Dtype>& x) {
  const BNParameter& p = this->layer_param_.bn_param();
  const ChannelShape cut = channels_of(order, x.shape());
  const Dtype* means = nullptr;
  const Dtype* variances = nullptr;
  if (source_ == Source::kBatch) {
    CAFFE_CHECK(cut.per_channel() > 0, this->name()
                                           << "an empty batch has no mean; the bottom's shape is "
                                           << x.shape_string());
    channel_moments(cut, data_in(order, x), mean_.mutable_active_data(),
                    variance_.mutable_active_data(), &sums_);
    if (averages_) {
      parallel_for(cut.channels,
                   EnterAverages<Dtype>{p.momentum(), mean_.active_data(), variance_.active_data(),
                                        this->blobs_[2]->mutable_active_data(),
                                        this->blobs_[3]->mutable_active_data()});
    }
    means = mean_.active_data();
    variances = variance_.active_data();
  } else if (source_ == Source::kAverages) {
    means = this->blobs_[2]->active_data();
    variances = this->blobs_[3]->active_data();
  }
  const Dtype eps = averages_ ? p.eps() : kSegNetEps;
  parallel_for(cut.channels,
               TakeStatistics<Dtype>{eps, means, variances, mean_.mutable_active_data(),
                                     factor_.mutable_active_data()});
}

template <typename Dtype>
void BNLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const ChannelShape cut = channels_of(order, bottom[0]->shape());
  take_statistics(order, *bottom[0]);
  const bool keep = keeps_values(bottom, top);
  const Dtype* const x = data_in(order, *bottom[0]);
  parallel_planes(cut.rows(), cut.inner,
                  BNForward<Dtype>{cut.channels, mean_.active_data(), factor_.active_data(),
                                   this->blobs_[0]->active_data(), this->blobs_[1]->active_data(),
                                   x, mutable_data_in(order, top[0]),
                                   keep ? mutable_data_in(order, &kept_) : nullptr});
  const Blob<Dtype>* const statistics[] = {&mean_, &variance_};
  for (size_t i = 1; i < top.size(); ++i) {
    caffe_copy(cut.channels, statistics[i - 1]->active_data(), top[i]->mutable_active_data());
  }
}

template <typename Dtype>
void BNLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                  const Blobs& bottom) {
  const Order order = gradient_order(*bottom[0], *top[0]);
  const ChannelShape cut = channels_of(order, bottom[0]->shape());
  const Dtype* const dy = diff_in(order, *top[0]);
  const bool in_place = bottom[0] == top[0];
  // In place and not kept: n is not needed, and dy stands for it.
  const Dtype* const kept = keeps_values(bottom, top) ? data_in(order, kept_) : dy;
  const NormalisedValues<Dtype> n = {in_place ? kept : nullptr,
                                     in_place ? nullptr : data_in(order, *bottom[0]),
                                     mean_.active_data(), factor_.active_data()};
  const bool batch = source_ == Source::kBatch;
  const bool slope = this->param_propagate_down_[0], bias = this->param_propagate_down_[1];
  Dtype* const of_dy = means_.mutable_active_data();
  Dtype* const of_dy_n = of_dy + cut.channels;
  if (slope || bias || (batch && propagate_down[0])) {
    channel_sums(cut, NormalisedProducts<Dtype>{n, dy}, &sums_,
                 StoreGradientSums<Dtype>{
                     cut.per_channel(), slope ? this->blobs_[0]->mutable_active_diff() : nullptr,
                     bias ? this->blobs_[1]->mutable_active_diff() : nullptr, of_dy, of_dy_n});
  }
  if (!propagate_down[0]) return;
  const Dtype* const slopes = this->blobs_[0]->active_data();
  Dtype* const dx = mutable_diff_in(order, bottom[0]);
  if (batch) {
    parallel_planes(cut.rows(), cut.inner,
                    BatchGradient<Dtype>{cut.channels, n, slopes, of_dy, of_dy_n, dy, dx});
  } else {
    parallel_planes(cut.rows(), cut.inner,
                    FixedGradient<Dtype>{cut.channels, slopes, factor_.active_data(), dy, dx});
  }
}

INSTANTIATE_CLASS(BNLayer);
REGISTER_LAYER_CLASS(BN);

}  // namespace caffe
