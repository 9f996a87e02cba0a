#include "caffe/layers/detection/normalize_layer.hpp"

#include "caffe/layers/cpu_width.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The vector, with its scale, that a value belongs to.
struct NormRegions {
  ChannelShape shape;   // N, C, pixels
  bool across_spatial;  // a vector is an item, else a pixel
  bool one_scale;
  CAFFE_HD int vector_of(int row, int i) const {
    const int item = row / shape.channels;
    return across_spatial ? item : item * shape.inner + (i - row * shape.inner);
  }
  CAFFE_HD int scale_of(int row) const { return one_scale ? 0 : row % shape.channels; }
};

/// What a value adds to n^2, or to n for absolute values.
template <typename T>
struct NormTerm {
  bool absolute;
  const T* x;
  CAFFE_HD T at(int, int i) const { return absolute ? (x[i] < T(0) ? -x[i] : x[i]) : x[i] * x[i]; }
};

/// s dy x
template <typename T>
struct DotTerm {
  NormRegions cut;
  const T *x, *dy, *scale;  // scale may be null: 1
  CAFFE_HD T at(int row, int i) const {
    const T s = scale == nullptr ? T(1) : scale[cut.scale_of(row)];
    return s * dy[i] * x[i];
  }
};

/// n of a sum, or with `plain` the sum itself.
template <typename T>
struct StoreNorm {
  bool plain, absolute;
  T eps;
  T* norm;
  CAFFE_HD void operator()(int vector, T sum) const {
    norm[vector] = plain ? sum : absolute ? sum + eps : std::sqrt(sum + eps);
  }
  CAFFE_HD void operator()(int vector, double sum, double) const { (*this)(vector, T(sum)); }
};

/// Adds up over an item, for channel_sums.
template <typename T, typename Term>
struct NormTerms {
  using Value = T;
  ChannelShape shape;
  Term term;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return W(term.at(i / shape.inner, i));
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

/// Adds up over the channels of up to kWidth neighbouring pixels.
template <typename T, typename Term, int kWidth>
struct PixelSums {
  ChannelShape shape;
  Term term;
  StoreNorm<T> store;
  CAFFE_HD void operator()(int block) const {
    const int blocks = (shape.inner + kWidth - 1) / kWidth;
    const int item = block / blocks, first = block % blocks * kWidth;
    const int n = shape.inner - first < kWidth ? shape.inner - first : kWidth;
    T sum[kWidth];
    for (int j = 0; j < n; ++j) sum[j] = T(0);
    for (int c = 0; c < shape.channels; ++c) {
      const int row = item * shape.channels + c, at = row * shape.inner + first;
      MAAP_SIMD for (int j = 0; j < n; ++j) sum[j] += term.at(row, at + j);
    }
    for (int j = 0; j < n; ++j) store(item * shape.inner + first + j, sum[j]);
  }
};

/// store(v, sum of term over vector v) for each vector.
template <typename T, typename Term>
void vector_sums(const NormRegions& cut, const Term& term, const StoreNorm<T>& store,
                 Blob<double>* sums) {
  const ChannelShape& shape = cut.shape;
  if (cut.across_spatial) {
    channel_sums({1, shape.outer, shape.channels * shape.inner}, NormTerms<T, Term>{shape, term},
                 sums, store);
    return;
  }
  const int64_t blocks = (shape.inner + kCpuWidth - 1) / kCpuWidth;
  parallel_for(current_device(), shape.outer * blocks, int64_t(shape.channels) * kCpuWidth,
               PixelSums<T, Term, kCpuWidth>{shape, term, store},
               int64_t(shape.outer) * shape.inner, PixelSums<T, Term, 1>{shape, term, store});
}

/// y = s x / n
template <typename T>
struct Divide {
  NormRegions cut;
  const T *x, *norm, *scale;  // scale may be null: 1
  T* y;
  CAFFE_HD void operator()(int row, int i) const {
    const T s = scale == nullptr ? T(1) : scale[cut.scale_of(row)];
    y[i] = x[i] / norm[cut.vector_of(row, i)] * s;
  }
};

/// dx = (s dy - d (sum of s dy x) / n) / n + d dn, where d is n's derivative: x / n or, for
/// absolute values, sign(x).
template <typename T>
struct NormalizeGradient {
  NormRegions cut;
  bool absolute, undivided;
  const T *x, *dy, *norm, *dot, *scale;  // scale may be null: 1
  const T* dnorm;                        // may be null: 0
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int v = cut.vector_of(row, i);
    const T s = scale == nullptr ? T(1) : scale[cut.scale_of(row)];
    const T sign = x[i] > T(0) ? T(1) : (x[i] < T(0) ? T(-1) : T(0));
    const T d = absolute ? sign : x[i] / norm[v];
    const T g = s * dy[i] - d * (dot[v] / norm[v]);
    dx[i] = (undivided ? g : g / norm[v]) + (dnorm == nullptr ? T(0) : d * dnorm[v]);
  }
};

/// What a value adds to the gradient of its scale: dy x / n.
template <typename T>
struct ScaleTerms {
  using Value = T;
  NormRegions cut;
  const T *x, *dy, *norm;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    const int row = i / cut.shape.inner;
    return {W(dy[i]), W(x[i] / norm[cut.vector_of(row, i)])};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct AddToScale {
  T* ds;
  CAFFE_HD void operator()(int c, double sum, double) const { ds[c] += static_cast<T>(sum); }
};

}  // namespace

template <typename Dtype>
void NormalizeLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const LayerParameter& all = this->layer_param_;
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  scaled_ = all.dialect().empty() ? all.has_norm_param() || !all.has_normalize_param()
                                  : all.dialect() != "happynear";
  CAFFE_CHECK(top.size() == 1 || !scaled_,
              this->name() << "has one top; a second one, the norm, is happynear's: give it "
                           << "normalize_param instead of norm_param");
  if (!scaled_) {
    const NormalizeParameter& param = all.normalize_param();
    absolute_ = param.normalize_type() == "L1";
    CAFFE_CHECK(absolute_ || param.normalize_type() == "L2",
                this->name() << "normalize_type is \"" << param.normalize_type()
                             << "\"; it may be \"L2\" or \"L1\"");
    across_spatial_ = false;
    eps_ = absolute_ ? Dtype(1e-6) : Dtype(1e-12);
    return;
  }
  const NormalizeParameter& param = all.norm_param();
  across_spatial_ = param.across_spatial();
  eps_ = param.eps();
  CAFFE_CHECK(param.eps() >= 0, this->name()
                                    << "eps is " << param.eps() << ", and must not be less than 0");
  LearntBlob scales = {"scales", {}, param.scale_filler()};
  if (!param.channel_shared()) scales.shape = {bottom[0]->shape(1)};
  if (!param.has_scale_filler()) {
    scales.filler.set_type("constant");
    scales.filler.set_value(1);
  }
  make_learnt(*this, {scales}, &this->blobs_);
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
void NormalizeLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const bool fits = bottom[0]->num_axes() >= 2 && (!scaled_ || this->blobs_[0]->num_axes() == 0 ||
                                                   this->blobs_[0]->count() == bottom[0]->shape(1));
  CAFFE_CHECK(fits, this->name() << "has " << (scaled_ ? this->blobs_[0]->count() : 0)
                                 << " scales, and the bottom's shape is now "
                                 << bottom[0]->shape_string());
  shape_ = {bottom[0]->shape(0), bottom[0]->shape(1), bottom[0]->count(2)};
  std::vector<int> shape = bottom[0]->shape();
  shape[1] = 1;
  if (across_spatial_) shape.resize(1);
  norm_.Reshape(shape);
  dot_.Reshape(shape);
  if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  if (top.size() > 1) top[1]->Reshape(shape);
}

template <typename Dtype>
const Dtype* NormalizeLayer<Dtype>::scales() const {
  return scaled_ ? this->blobs_[0]->active_data() : nullptr;
}

template <typename Dtype>
void NormalizeLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->count() == 0) return;
  const NormRegions cut = {shape_, across_spatial_, scaled_ && this->blobs_[0]->num_axes() == 0};
  vector_sums(cut, NormTerm<Dtype>{absolute_, bottom[0]->active_data()},
              StoreNorm<Dtype>{false, absolute_, eps_, norm_.mutable_active_data()}, &sums_);
  if (top.size() > 1) caffe_copy(norm_.count(), norm_.active_data(), top[1]->mutable_active_data());
  parallel_planes(shape_.rows(), shape_.inner,
                  Divide<Dtype>{cut, bottom[0]->active_data(), norm_.active_data(), scales(),
                                top[0]->mutable_active_data()});
}

template <typename Dtype>
void NormalizeLayer<Dtype>::backward_to_scales(const Blobs& top, const Blobs& bottom) {
  Blob<Dtype>& scales = *this->blobs_[0];
  const bool one = scales.num_axes() == 0;
  const ChannelShape sums =
      one ? ChannelShape{shape_.outer, 1, shape_.channels * shape_.inner} : shape_;
  channel_sums(sums,
               ScaleTerms<Dtype>{{shape_, across_spatial_, one},
                                 bottom[0]->active_data(),
                                 top[0]->active_diff(),
                                 norm_.active_data()},
               &sums_, AddToScale<Dtype>{scales.mutable_active_diff()});
}

template <typename Dtype>
void NormalizeLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  const bool to_scales = scaled_ && this->param_propagate_down_[0];
  if (bottom[0]->count() == 0 || !(to_scales || propagate_down[0])) return;
  refuse_backward_in_place(*this, bottom, top);
  if (to_scales) backward_to_scales(top, bottom);
  if (!propagate_down[0]) return;
  const NormRegions cut = {shape_, across_spatial_, scaled_ && this->blobs_[0]->num_axes() == 0};
  const Dtype* const x = bottom[0]->active_data();
  const Dtype* const dy = top[0]->active_diff();
  vector_sums(cut, DotTerm<Dtype>{cut, x, dy, scales()},
              StoreNorm<Dtype>{true, false, Dtype(0), dot_.mutable_active_data()}, &sums_);
  const NormalizeParameter& param = this->layer_param_.normalize_param();
  const bool norm_too = !scaled_ && top.size() > 1 && param.bp_norm();
  parallel_planes(shape_.rows(), shape_.inner,
                  NormalizeGradient<Dtype>{cut, absolute_, !scaled_ && param.fix_gradient(), x, dy,
                                           norm_.active_data(), dot_.active_data(), scales(),
                                           norm_too ? top[1]->active_diff() : nullptr,
                                           bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(NormalizeLayer);
REGISTER_LAYER_CLASS(Normalize);

}  // namespace caffe
