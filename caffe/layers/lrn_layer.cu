#include "caffe/layers/lrn_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "caffe/layers/cpu_width.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

/// s ^ -beta. The compiler can vectorise square roots but not powers.
template <typename B>
struct AnyPower {
  B beta;
  template <typename T>
  CAFFE_HD T operator()(T s) const {
    return std::pow(s, T(-beta));
  }
};
struct ThreeQuarters {
  template <typename T>
  CAFFE_HD T operator()(T s) const {
    const T root = std::sqrt(s);
    return T(1) / (root * std::sqrt(root));
  }
};

/// A block of kWidth neighbouring pixels of one image with all channels: on the CPU a column of
/// vectors that fits the caches. On the GPU a thread has one pixel.
template <int kWidth>
struct Columns {
  int64_t at;  // channel 0 of the first pixel
  int n;
  CAFFE_HD Columns(int i, int channels, int size) {
    const int blocks = (size + kWidth - 1) / kWidth;
    const int first = i % blocks * kWidth;
    n = size - first < kWidth ? size - first : kWidth;
    at = static_cast<int64_t>(i / blocks) * channels * size + first;
  }
};

template <typename T, int kWidth, typename Power>
struct AcrossForward {
  int channels, size, half;  // size: pixels; half: (n - 1) / 2
  T k, factor;               // factor: alpha / n
  Power power;
  const T* x;  // [num x channels x size]
  T* scale;
  T* y;
  CAFFE_HD void operator()(int i) const {
    const Columns<kWidth> columns(i, channels, size);
    const int n = columns.n;
    for (int c = 0; c < channels; ++c) {
      T sum[kWidth];
      for (int j = 0; j < n; ++j) sum[j] = T(0);
      const int first = c < half ? 0 : c - half,
                end = c + half < channels ? c + half + 1 : channels;
      for (int d = first; d < end; ++d) {
        const T* const in = x + columns.at + static_cast<int64_t>(d) * size;
        MAAP_SIMD for (int j = 0; j < n; ++j) sum[j] += in[j] * in[j];
      }
      const int64_t at = columns.at + static_cast<int64_t>(c) * size;
      MAAP_SIMD for (int j = 0; j < n; ++j) {
        const T s = k + factor * sum[j];
        scale[at + j] = s;
        y[at + j] = x[at + j] * power(s);
      }
    }
  }
};

/// dx = dy s^-beta - 2 beta alpha / n x * sum of dy y / s over the channels around
template <typename T, int kWidth, typename Power>
struct AcrossBackward {
  int channels, size, half;
  T factor;  // 2 beta alpha / n
  Power power;
  const T *x, *y, *scale, *dy;
  T* ratio;  // dy y / s, for this block
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const Columns<kWidth> columns(i, channels, size);
    const int n = columns.n;
    for (int c = 0; c < channels; ++c) {
      const int64_t at = columns.at + static_cast<int64_t>(c) * size;
      MAAP_SIMD for (int j = 0; j < n; ++j) {
        ratio[at + j] = dy[at + j] * y[at + j] / scale[at + j];
      }
    }
    for (int c = 0; c < channels; ++c) {
      T sum[kWidth];
      for (int j = 0; j < n; ++j) sum[j] = T(0);
      const int first = c < half ? 0 : c - half,
                end = c + half < channels ? c + half + 1 : channels;
      for (int d = first; d < end; ++d) {
        const T* const in = ratio + columns.at + static_cast<int64_t>(d) * size;
        MAAP_SIMD for (int j = 0; j < n; ++j) sum[j] += in[j];
      }
      const int64_t at = columns.at + static_cast<int64_t>(c) * size;
      MAAP_SIMD for (int j = 0; j < n; ++j) {
        dx[at + j] = dy[at + j] * power(scale[at + j]) - factor * x[at + j] * sum[j];
      }
    }
  }
};

/// A piece of one row of a plane, for windows around each pixel.
template <int kWidth>
struct RowPiece {
  int64_t plane;  // its first value
  int row, first, n;
  CAFFE_HD RowPiece(int i, int height, int width) {
    const int pieces = (width + kWidth - 1) / kWidth;
    first = i % pieces * kWidth;
    n = width - first < kWidth ? width - first : kWidth;
    row = i / pieces % height;
    plane = static_cast<int64_t>(i / pieces / height) * height * width;
  }
  /// sum[j] = sum of value(v) over the window around pixel j.
  template <typename T, typename C, typename Value>
  CAFFE_HD void add_windows(const T* values, int height, int width, int half, const Value& value,
                            C* sum) const {
    for (int j = 0; j < n; ++j) sum[j] = C(0);
    for (int r = row < half ? 0 : row - half; r <= row + half && r < height; ++r) {
      for (int d = -half; d <= half; ++d) {
        const T* const in = values + plane + static_cast<int64_t>(r) * width + first + d;
        const int begin = first + d < 0 ? -(first + d) : 0;
        const int end = width - first - d < n ? width - first - d : n;
        MAAP_SIMD for (int j = begin; j < end; ++j) sum[j] += value(in[j]);
      }
    }
  }
};

template <typename T>
struct Squared {
  CAFFE_HD T operator()(T v) const { return v * v; }
};
template <typename T>
struct Itself {
  CAFFE_HD T operator()(T v) const { return v; }
};

// With the channels last, a pixel's channels are a plane of one row, and a window around a channel
// is one of these.

template <typename T, int kWidth, typename Power>
struct WithinForward {
  using C = maap::Computed<T>;
  int height, width, half;
  C k, factor;  // 1 and alpha / n^2
  Power power;
  const T* x;
  C* scale;
  T* y;
  CAFFE_HD void operator()(int i) const {
    const RowPiece<kWidth> piece(i, height, width);
    C sum[kWidth];
    piece.add_windows(x, height, width, half, Squared<C>(), sum);
    const int64_t at = piece.plane + static_cast<int64_t>(piece.row) * width + piece.first;
    MAAP_SIMD for (int j = 0; j < piece.n; ++j) {
      const C s = k + factor * sum[j];
      scale[at + j] = s;
      y[at + j] = x[at + j] * power(s);
    }
  }
};

/// dx = dy s^-beta - 2 beta alpha / n^2 x * sum of dy y / s over the window
template <typename T, int kWidth, typename Power>
struct WithinBackward {
  using C = maap::Computed<T>;
  int height, width, half;
  C factor;
  Power power;
  const T *x, *dy;
  const C* scale;
  const C* ratio;  // dy y / s
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const RowPiece<kWidth> piece(i, height, width);
    C sum[kWidth];
    piece.add_windows(ratio, height, width, half, Itself<C>(), sum);
    const int64_t at = piece.plane + static_cast<int64_t>(piece.row) * width + piece.first;
    MAAP_SIMD for (int j = 0; j < piece.n; ++j) {
      dx[at + j] = dy[at + j] * power(scale[at + j]) - factor * x[at + j] * sum[j];
    }
  }
};

template <typename T>
struct Ratio {
  const T *dy, *y;
  const maap::Computed<T>* scale;
  maap::Computed<T>* ratio;
  CAFFE_HD void operator()(int i) const { ratio[i] = dy[i] * y[i] / scale[i]; }
};

int64_t blocks_of(int size) {
  return (size + kCpuWidth - 1) / kCpuWidth;
}

}  // namespace

template <typename Dtype>
void LRNLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const LRNParameter& param = this->layer_param_.lrn_param();
  size_ = static_cast<int>(param.local_size());
  CAFFE_CHECK(size_ % 2 == 1, this->name() << "local_size is " << size_ << ", which must be odd");
  pre_pad_ = (size_ - 1) / 2;
  alpha_ = param.alpha();
  beta_ = param.beta();
  k_ = param.k();
}

template <typename Dtype>
void LRNLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() == 4,
              this->name() << "takes images, num x channels x height x width; the bottom is "
                           << bottom[0]->shape_string());
  num_ = bottom[0]->num();
  channels_ = bottom[0]->channels();
  height_ = bottom[0]->height();
  width_ = bottom[0]->width();
  top[0]->ReshapeLike(*bottom[0]);
  scale_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void LRNLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  has_scale_ = true;
  if (beta_ == Dtype(0.75)) {
    forward_with(ThreeQuarters(), *bottom[0], top[0]);
  } else {
    forward_with(AnyPower<Dtype>{beta_}, *bottom[0], top[0]);
  }
}

template <typename Dtype>
void LRNLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0]) return;
  if (!has_scale_) {  // the forward pass ran on the CPU, and its mode changed
    Blob<Dtype> unused;
    unused.ReshapeLike(*bottom[0]);
    Forward_any(bottom, {&unused});
  }
  if (beta_ == Dtype(0.75)) {
    backward_with(ThreeQuarters(), *top[0], bottom[0]);
  } else {
    backward_with(AnyPower<Dtype>{beta_}, *top[0], bottom[0]);
  }
}

template <typename Dtype>
bool LRNLayer<Dtype>::is_across() const {
  return this->layer_param_.lrn_param().norm_region() == LRNParameter::ACROSS_CHANNELS;
}

/// Planes as WithinForward needs them: the real ones, or pixels with the channels last.
template <typename Dtype>
typename LRNLayer<Dtype>::Planes LRNLayer<Dtype>::planes() const {
  if (is_across()) return {num_ * height_ * width_, 1, channels_};
  return {num_ * channels_, height_, width_};
}

template <typename Dtype>
template <typename Power>
void LRNLayer<Dtype>::forward_with(const Power& power, const Blob<Dtype>& bottom,
                                   Blob<Dtype>* top) {
  const Format format = is_across() ? data_format(bottom) : kPlain;
  if (!is_across() || format.order == Order::kNhwc) {
    return forward_rows(format, power, bottom, top);
  }
  constexpr Order order = Order::kNchw;
  const int size = height_ * width_, half = pre_pad_;
  const Dtype* const x = data_in(order, bottom);
  Dtype* const scale = mutable_data_in(order, &scale_);
  Dtype* const y = mutable_data_in(order, top);
  const Dtype factor = alpha_ / window();
  parallel_for(
      current_device(), num_ * blocks_of(size), static_cast<int64_t>(channels_) * kCpuWidth,
      AcrossForward<Dtype, kCpuWidth, Power>{channels_, size, half, k_, factor, power, x, scale, y},
      static_cast<int64_t>(num_) * size,
      AcrossForward<Dtype, 1, Power>{channels_, size, half, k_, factor, power, x, scale, y});
}

/// Windows within planes; the channels of a pixel, if they are last, are a plane of one row.
template <typename Dtype>
template <typename Power>
void LRNLayer<Dtype>::forward_rows(Format format, const Power& power, const Blob<Dtype>& bottom,
                                   Blob<Dtype>* top) {
  const Planes p = planes();
  const int half = pre_pad_;
  const Dtype k = is_across() ? k_ : Dtype(1), factor = alpha_ / window();
  with_values<Dtype>(format, [&](auto values) {
    using T = typename decltype(values)::Type;
    const T* const x = values.data(bottom);
    Dtype* const scale = mutable_data_in(values.order, &scale_);
    T* const y = values.mutable_data(top);
    parallel_for(
        current_device(), p.count * p.height * blocks_of(p.width),
        static_cast<int64_t>(p.width) * window(),
        WithinForward<T, kCpuWidth, Power>{p.height, p.width, half, k, factor, power, x, scale, y},
        bottom.count(),
        WithinForward<T, 1, Power>{p.height, p.width, half, k, factor, power, x, scale, y});
  });
}

template <typename Dtype>
template <typename Power>
void LRNLayer<Dtype>::backward_with(const Power& power, const Blob<Dtype>& top,
                                    Blob<Dtype>* bottom) {
  const Format format = is_across() ? data_format(*bottom) : kPlain;
  if (!is_across() || format.order == Order::kNhwc) {
    return backward_rows(format, power, top, bottom);
  }
  constexpr Order order = Order::kNchw;
  const int size = height_ * width_, half = pre_pad_;
  const Dtype* const x = data_in(order, *bottom);
  const Dtype* const y = data_in(order, top);
  const Dtype* const dy = diff_in(order, top);
  const Dtype* const scale = data_in(order, scale_);
  Dtype* const ratio = mutable_diff_in(order, &scale_);
  Dtype* const dx = mutable_diff_in(order, bottom);
  const Dtype factor = 2 * beta_ * alpha_ / window();
  parallel_for(current_device(), num_ * blocks_of(size),
               static_cast<int64_t>(channels_) * kCpuWidth,
               AcrossBackward<Dtype, kCpuWidth, Power>{channels_, size, half, factor, power, x, y,
                                                       scale, dy, ratio, dx},
               static_cast<int64_t>(num_) * size,
               AcrossBackward<Dtype, 1, Power>{channels_, size, half, factor, power, x, y, scale,
                                               dy, ratio, dx});
}

template <typename Dtype>
template <typename Power>
void LRNLayer<Dtype>::backward_rows(Format format, const Power& power, const Blob<Dtype>& top,
                                    Blob<Dtype>* bottom) {
  const Planes p = planes();
  const int half = pre_pad_;
  const Dtype factor = 2 * beta_ * alpha_ / window();
  with_values<Dtype>(format, [&](auto values) {
    using T = typename decltype(values)::Type;
    const T* const x = values.data(*bottom);
    const T* const y = values.data(top);
    const T* const dy = values.diff(top);
    const Dtype* const scale = data_in(values.order, scale_);
    Dtype* const ratio = mutable_diff_in(values.order, &scale_);
    T* const dx = values.mutable_diff(bottom);
    parallel_for(bottom->count(), Ratio<T>{dy, y, scale, ratio});
    parallel_for(current_device(), p.count * p.height * blocks_of(p.width),
                 static_cast<int64_t>(p.width) * window(),
                 WithinBackward<T, kCpuWidth, Power>{p.height, p.width, half, factor, power, x, dy,
                                                     scale, ratio, dx},
                 bottom->count(),
                 WithinBackward<T, 1, Power>{p.height, p.width, half, factor, power, x, dy, scale,
                                             ratio, dx});
  });
}

INSTANTIATE_CLASS(LRNLayer);
REGISTER_LAYER_WITH_ENGINE(LRN, lrn_param);

}  // namespace caffe
