#include "caffe/layers/pooling_layer.hpp"

#include <cfloat>
#include <cstdint>

#include "caffe/layers/cpu_width.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/seeded.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

/// The geometry of windows over planes; copied to the kernels.
struct Windows {
  int channels;
  int height, width;                // of a plane
  int pooled_height, pooled_width;  // windows of a plane
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;

  /// The part of window p of an axis that is inside the plane: [*first, *end).
  CAFFE_HD static void clip(int p, int kernel, int stride, int pad, int length, int* first,
                            int* end) {
    *first = p * stride - pad;
    *end = *first + kernel < length ? *first + kernel : length;
    if (*first < 0) *first = 0;
  }
  CAFFE_HD void rows(int p, int* first, int* end) const {
    clip(p, kernel_h, stride_h, pad_h, height, first, end);
  }
  CAFFE_HD void columns(int p, int* first, int* end) const {
    clip(p, kernel_w, stride_w, pad_w, width, first, end);
  }
  /// Values of window p, padding included.
  CAFFE_HD int extent(int p, int kernel, int stride, int pad, int length) const {
    const int first = p * stride - pad;
    const int end = first + kernel < length + pad ? first + kernel : length + pad;
    return end > first ? end - first : 1;
  }
  CAFFE_HD int area(int ph, int pw) const {
    return extent(ph, kernel_h, stride_h, pad_h, height) *
           extent(pw, kernel_w, stride_w, pad_w, width);
  }
  /// Those windows [*first, *end) of [pw0, pw0 + n) whose column k is inside the plane.
  CAFFE_HD void with_column(int pw0, int n, int k, int* first, int* end) const {
    const int x = pw0 * stride_w - pad_w + k;  // that column of window pw0
    *first = x >= 0 ? 0 : (-x + stride_w - 1) / stride_w;
    *end = x + (n - 1) * stride_w < width ? n : (width - x + stride_w - 1) / stride_w;
    if (*end < *first) *end = *first;
  }
  /// The windows [*first, *end) of an axis that contain index i.
  CAFFE_HD static void that_hold(int i, int kernel, int stride, int pad, int windows, int* first,
                                 int* end) {
    *first = i + pad < kernel ? 0 : (i + pad - kernel) / stride + 1;
    *end = (i + pad) / stride + 1 < windows ? (i + pad) / stride + 1 : windows;
  }
};

/// The distance of two neighbouring values of a plane.
template <Order kOrder>
CAFFE_HD int step(const Windows& w) {
  return kOrder == Order::kNhwc ? w.channels : 1;
}

/// A piece of one row of windows: up to kWidth of them, whose results are kept in registers or the
/// first cache. On the CPU a piece is as wide as a row in most nets, so that its loops are
/// vectorised; on the GPU a thread has one window, and neighbouring threads have neighbouring
/// results.
template <int kWidth, Order kOrder>
struct Piece {
  static_assert(kWidth == 1 || kOrder == Order::kNchw, "with the channels last, one window");
  int plane, ph, pw0, n;
  CAFFE_HD Piece(const Windows& w, int i) {
    const int pieces = (w.pooled_width + kWidth - 1) / kWidth;
    const int channel = kOrder == Order::kNhwc ? i % w.channels : 0;
    if (kOrder == Order::kNhwc) i /= w.channels;
    pw0 = i % pieces * kWidth;
    n = w.pooled_width - pw0 < kWidth ? w.pooled_width - pw0 : kWidth;
    ph = i / pieces % w.pooled_height;
    plane = i / pieces / w.pooled_height;
    if (kOrder == Order::kNhwc) plane = plane * w.channels + channel;
  }
  /// The plane's first value.
  CAFFE_HD int64_t in(const Windows& w) const { return first(w, w.height * w.width); }
  /// The piece's first result.
  CAFFE_HD int64_t out(const Windows& w) const {
    return first(w, w.pooled_height * w.pooled_width) +
           static_cast<int64_t>(ph * w.pooled_width + pw0) * step<kOrder>(w);
  }

 private:
  CAFFE_HD int64_t first(const Windows& w, int size) const {
    const int channel = kOrder == Order::kNhwc ? plane % w.channels : 0;
    return static_cast<int64_t>(plane - channel) * size + channel;
  }
};

/// A value of the bottom, and the windows of its plane.
template <Order kOrder>
struct PooledPlace {
  int row, column;
  int64_t windows;  // the first one's result
  int row_step, column_step;
  CAFFE_HD PooledPlace(const Windows& w, int i) {
    const int channel = kOrder == Order::kNhwc ? i % w.channels : 0;
    if (kOrder == Order::kNhwc) i /= w.channels;
    column = i % w.width;
    row = i / w.width % w.height;
    column_step = step<kOrder>(w);
    row_step = w.pooled_width * column_step;
    windows = static_cast<int64_t>(i / w.width / w.height) * w.pooled_height * row_step + channel;
  }
  CAFFE_HD int64_t at(int ph, int pw) const {
    return windows + static_cast<int64_t>(ph) * row_step + pw * column_step;
  }
  CAFFE_HD void that_hold(const Windows& w, int* ph0, int* ph1, int* pw0, int* pw1) const {
    Windows::that_hold(row, w.kernel_h, w.stride_h, w.pad_h, w.pooled_height, ph0, ph1);
    Windows::that_hold(column, w.kernel_w, w.stride_w, w.pad_w, w.pooled_width, pw0, pw1);
  }
};

template <typename T, int kWidth, Order kOrder>
struct MaxForward {
  using C = maap::Computed<T>;
  Windows w;
  const T* x;  // [num, channels, height, width] in kOrder
  T* y;        // [num, channels, pooled_height, pooled_width] in kOrder
  int* index;  // as y
  C* mask;     // as y, or null
  CAFFE_HD void operator()(int i) const {
    const Piece<kWidth, kOrder> piece(w, i);
    const int n = piece.n, stride = w.stride_w, between = stride * step<kOrder>(w);
    C best[kWidth];
    int where[kWidth];
    for (int j = 0; j < n; ++j) {
      best[j] = C(-FLT_MAX);  // the result of a window outside the plane
      where[j] = -1;
    }
    int y0, y1;
    w.rows(piece.ph, &y0, &y1);
    for (int row = y0; row < y1; ++row) {
      for (int k = 0; k < w.kernel_w; ++k) {
        int first, end;
        w.with_column(piece.pw0, n, k, &first, &end);
        const int at = row * w.width + piece.pw0 * stride - w.pad_w + k;
        const T* const in = x + piece.in(w) + static_cast<int64_t>(at) * step<kOrder>(w);
        MAAP_SIMD for (int j = first; j < end; ++j) {
          const C value = in[j * between];
          const bool better =
              (value > best[j]) | (where[j] < 0) | ((best[j] != best[j]) & (value == value));
          best[j] = better ? value : best[j];
          where[j] = better ? at + j * stride : where[j];
        }
      }
    }
    const int64_t out = piece.out(w);
    for (int j = 0; j < n; ++j) {
      y[out + j] = best[j];
      index[out + j] = where[j];
    }
    for (int j = 0; mask != nullptr && j < n; ++j) mask[out + j] = C(where[j]);
  }
};

template <typename T, int kWidth, Order kOrder>
struct AveForward {
  using C = maap::Computed<T>;
  Windows w;
  const T* x;
  T* y;
  CAFFE_HD void operator()(int i) const {
    const Piece<kWidth, kOrder> piece(w, i);
    const int n = piece.n, stride = w.stride_w, between = stride * step<kOrder>(w);
    C sum[kWidth];
    for (int j = 0; j < n; ++j) sum[j] = C(0);
    int y0, y1;
    w.rows(piece.ph, &y0, &y1);
    for (int row = y0; row < y1; ++row) {
      for (int k = 0; k < w.kernel_w; ++k) {
        int first, end;
        w.with_column(piece.pw0, n, k, &first, &end);
        const int at = row * w.width + piece.pw0 * stride - w.pad_w + k;
        const T* const in = x + piece.in(w) + static_cast<int64_t>(at) * step<kOrder>(w);
        MAAP_SIMD for (int j = first; j < end; ++j) sum[j] += C(in[j * between]);
      }
    }
    for (int j = 0; j < n; ++j) {
      y[piece.out(w) + j] = sum[j] / C(w.area(piece.ph, piece.pw0 + j));
    }
  }
};

/// dx of one plane from its windows, for the CPU: 33 times faster than the gather below.
template <typename T>
struct TakenScatter {
  Windows w;
  const T* dy;
  const int* index;
  T* dx;
  CAFFE_HD void operator()(int plane) const {
    const int size = w.height * w.width, windows = w.pooled_height * w.pooled_width;
    T* const out = dx + static_cast<int64_t>(plane) * size;
    const int64_t from = static_cast<int64_t>(plane) * windows;
    for (int j = 0; j < size; ++j) out[j] = T(0);
    for (int64_t i = from; i < from + windows; ++i) {
      if (index[i] >= 0) out[index[i]] += dy[i];
    }
  }
};

/// One value of dx from the windows that contain it, for the GPU, where a scatter would need
/// atomics.
template <typename T, Order kOrder>
struct TakenGather {
  Windows w;
  const T* dy;
  const int* index;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const PooledPlace<kOrder> place(w, i);
    int ph0, ph1, pw0, pw1;
    place.that_hold(w, &ph0, &ph1, &pw0, &pw1);
    maap::Computed<T> sum = 0;
    for (int ph = ph0; ph < ph1; ++ph) {
      for (int pw = pw0; pw < pw1; ++pw) {
        const int64_t at = place.at(ph, pw);
        if (index[at] == place.row * w.width + place.column) sum = sum + dy[at];
      }
    }
    dx[i] = sum;
  }
};

/// Like TakenScatter.
template <typename T>
struct AveScatter {
  Windows w;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int plane) const {
    const int size = w.height * w.width;
    T* const out = dx + static_cast<int64_t>(plane) * size;
    const T* in = dy + static_cast<int64_t>(plane) * w.pooled_height * w.pooled_width;
    for (int j = 0; j < size; ++j) out[j] = T(0);
    for (int ph = 0; ph < w.pooled_height; ++ph) {
      int y0, y1;
      w.rows(ph, &y0, &y1);
      for (int pw = 0; pw < w.pooled_width; ++pw, ++in) {
        int x0, x1;
        w.columns(pw, &x0, &x1);
        const T share = *in / T(w.area(ph, pw));
        for (int row = y0; row < y1; ++row) {
          for (int j = x0; j < x1; ++j) out[row * w.width + j] += share;
        }
      }
    }
  }
};

/// Like TakenGather.
template <typename T, Order kOrder>
struct AveGather {
  using C = maap::Computed<T>;
  Windows w;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const PooledPlace<kOrder> place(w, i);
    int ph0, ph1, pw0, pw1;
    place.that_hold(w, &ph0, &ph1, &pw0, &pw1);
    C sum = C(0);
    for (int ph = ph0; ph < ph1; ++ph) {
      for (int pw = pw0; pw < pw1; ++pw) {
        sum += dy[place.at(ph, pw)] / C(w.area(ph, pw));
      }
    }
    dx[i] = sum;
  }
};

/// Draws a value of each window with a probability proportional to it: the first whose running sum
/// reaches random * sum.
template <typename T>
struct StochasticTrain {
  Windows w;
  const T* x;
  RandomBits random;
  T* y;
  int* index;
  CAFFE_HD void reseed(RandomBits bits) { random = bits; }
  CAFFE_HD void operator()(int i) const {
    const int pw = i % w.pooled_width, ph = i / w.pooled_width % w.pooled_height;
    const T* const in =
        x + static_cast<int64_t>(i / w.pooled_width / w.pooled_height) * w.height * w.width;
    int y0, y1, x0, x1;
    w.rows(ph, &y0, &y1);
    w.columns(pw, &x0, &x1);
    T sum = T(0);
    for (int row = y0; row < y1; ++row) {
      for (int j = x0; j < x1; ++j) sum += in[row * w.width + j];
    }
    const T wanted = T(random.at(i) >> 8) * T(1.0 / 16777216.0) * sum;
    T running = T(0);
    int taken = -1;
    bool found = false;
    for (int row = y0; row < y1 && !found; ++row) {
      for (int j = x0; j < x1 && !found; ++j) {
        taken = row * w.width + j;
        running += in[taken];
        found = running > wanted || (sum == T(0) && running == wanted);
      }
    }
    y[i] = taken >= 0 ? in[taken] : T(0);
    index[i] = taken;
  }
};

/// The mean of each window's values, each weighted with itself; 0 if all are 0.
template <typename T>
struct StochasticTest {
  Windows w;
  const T* x;
  T* y;
  CAFFE_HD void operator()(int i) const {
    const int pw = i % w.pooled_width, ph = i / w.pooled_width % w.pooled_height;
    const T* const in =
        x + static_cast<int64_t>(i / w.pooled_width / w.pooled_height) * w.height * w.width;
    int y0, y1, x0, x1;
    w.rows(ph, &y0, &y1);
    w.columns(pw, &x0, &x1);
    T sum = T(0), squares = T(0);
    for (int row = y0; row < y1; ++row) {
      for (int j = x0; j < x1; ++j) {
        const T value = in[row * w.width + j];
        sum += value;
        squares += value * value;
      }
    }
    y[i] = sum == T(0) ? T(0) : squares / sum;
  }
};

/// The parameters of one direction, for example kernel_size or kernel_h and kernel_w.
void read_two(const string& layer, const char* field, bool has_both, int both, bool has_h, int h,
              bool has_w, int w, int* out_h, int* out_w) {
  CAFFE_CHECK(!(has_both && (has_h || has_w)),
              layer << "give " << field << " or its _h and _w, not both");
  CAFFE_CHECK(has_h == has_w, layer << "give " << field << "'s _h and _w both");
  *out_h = has_h ? h : both;
  *out_w = has_w ? w : both;
  constexpr int kMost = 1 << 24;  // so that sums with the lengths of a bottom fit in an int
  CAFFE_CHECK(*out_h >= 0 && *out_h <= kMost && *out_w >= 0 && *out_w <= kMost,
              layer << field << " must be from 0 to " << kMost);
}

}  // namespace

template <typename Dtype>
void PoolingLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const PoolingParameter& p = this->layer_param_.pooling_param();
  global_pooling_ = p.global_pooling();
  round_mode_ = p.round_mode();
  read_two(this->name(), "stride", p.has_stride(), p.stride(), p.has_stride_h(), p.stride_h(),
           p.has_stride_w(), p.stride_w(), &stride_h_, &stride_w_);
  read_two(this->name(), "pad", p.has_pad(), p.pad(), p.has_pad_h(), p.pad_h(), p.has_pad_w(),
           p.pad_w(), &pad_h_, &pad_w_);
  const bool has_kernel = p.has_kernel_size() || p.has_kernel_h() || p.has_kernel_w();
  if (global_pooling_) {
    CAFFE_CHECK(!has_kernel, this->name() << "global_pooling takes no kernel_size");
    CAFFE_CHECK(pad_h_ == 0 && pad_w_ == 0 && stride_h_ == 1 && stride_w_ == 1,
                this->name() << "global_pooling takes no pad and no stride but 1");
    return;
  }
  CAFFE_CHECK(has_kernel, this->name() << "kernel_size is missing");
  read_two(this->name(), "kernel_size", p.has_kernel_size(), p.kernel_size(), p.has_kernel_h(),
           p.kernel_h(), p.has_kernel_w(), p.kernel_w(), &kernel_h_, &kernel_w_);
  CAFFE_CHECK(kernel_h_ > 0 && kernel_w_ > 0, this->name() << "kernel_size must not be 0");
  CAFFE_CHECK(stride_h_ > 0 && stride_w_ > 0, this->name() << "stride must not be 0");
  CAFFE_CHECK(pad_h_ < kernel_h_ && pad_w_ < kernel_w_,
              this->name() << "pad (" << pad_h_ << " x " << pad_w_
                           << ") must be less than kernel_size (" << kernel_h_ << " x " << kernel_w_
                           << ")");
  CAFFE_CHECK((pad_h_ == 0 && pad_w_ == 0) || method() != PoolingParameter::STOCHASTIC,
              this->name() << "pad is for MAX and AVE only");
}

template <typename Dtype>
int PoolingLayer<Dtype>::pooled_size(int length, int kernel, int stride, int pad) const {
  const int room = length + 2 * pad - kernel;
  const bool up = round_mode_ == PoolingParameter::CEIL;
  // Rounded up, one window that is larger than the plane by less than a stride is left.
  CAFFE_CHECK(up ? room > -stride : room >= 0,
              this->name() << "kernel_size " << kernel << " is larger than the bottom, " << length
                           << " and pad " << pad << " on both sides");
  int size = (up ? room + stride - 1 : room) / stride + 1;
  if ((pad_h_ > 0 || pad_w_ > 0) && (size - 1) * stride >= length + pad) --size;
  return size;
}

template <typename Dtype>
void PoolingLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() == 4,
              this->name() << "takes images, num x channels x height x width; the bottom is "
                           << bottom[0]->shape_string());
  channels_ = bottom[0]->channels();
  height_ = bottom[0]->height();
  width_ = bottom[0]->width();
  if (global_pooling_) {
    kernel_h_ = height_;
    kernel_w_ = width_;
  }
  pooled_height_ = pooled_size(height_, kernel_h_, stride_h_, pad_h_);
  pooled_width_ = pooled_size(width_, kernel_w_, stride_w_, pad_w_);
  for (Blob<Dtype>* const blob : top) {
    blob->Reshape(bottom[0]->num(), channels_, pooled_height_, pooled_width_);
  }
  if (method() != PoolingParameter::AVE) max_idx_.Reshape(top[0]->shape());
}

/// In both passes. STOCHASTIC draws by a value's place in the plain order, and indices that leave
/// the layer are plain.
template <typename Dtype>
Format PoolingLayer<Dtype>::format(const Blob<Dtype>& bottom, const Blobs& top) const {
  const bool any = method() != PoolingParameter::STOCHASTIC && top.size() == 1;
  return any ? gradient_format(bottom, *top[0]) : Format{Order::kNchw, type_of<Dtype>()};
}

namespace {

/// On the CPU, where values never have 16 bits, cpu_n times the functor that on_cpu() makes.
template <bool kHalf, typename OnCpu, typename GpuF>
void run_pooling(int64_t cpu_n, int64_t cpu_work, const OnCpu& on_cpu, int gpu_n,
                 const GpuF& on_gpu) {
  if constexpr (kHalf) {
    parallel_for(Device::kGPU, gpu_n, on_gpu);
  } else {
    parallel_for(current_device(), cpu_n, cpu_work, on_cpu(), gpu_n, on_gpu);
  }
}

}  // namespace

template <typename Dtype>
void PoolingLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (method() == PoolingParameter::STOCHASTIC) return forward_stochastic(*bottom[0], top[0]);
  const Windows w = {channels_, height_,   width_,    pooled_height_, pooled_width_, kernel_h_,
                     kernel_w_, stride_h_, stride_w_, pad_h_,         pad_w_};
  const int count = top[0]->count(), width = std::min(kCpuWidth, pooled_width_);
  const int pieces = (pooled_width_ + kCpuWidth - 1) / kCpuWidth;
  const int64_t rows = static_cast<int64_t>(top[0]->count(0, 3)) * pieces;
  const int64_t work = static_cast<int64_t>(width) * kernel_h_ * kernel_w_;
  const bool largest = method() == PoolingParameter::MAX;
  with_values<Dtype>(format(*bottom[0], top), [&](auto values) {
    using T = typename decltype(values)::Type;
    constexpr bool kHalf = decltype(values)::kHalf;
    const T* const x = values.data(*bottom[0]);
    T* const y = values.mutable_data(top[0]);
    int* const index = largest ? mutable_data_in(values.order, &max_idx_) : nullptr;
    Dtype* const mask = top.size() > 1 ? top[1]->mutable_active_data() : nullptr;
    with_order(values.order, [&](auto fixed) {
      constexpr Order kOrder = decltype(fixed)::value;
      if (largest) {
        const auto on_cpu = [&] {
          return MaxForward<T, kCpuWidth, Order::kNchw>{w, x, y, index, mask};
        };
        run_pooling<kHalf>(rows, work, on_cpu, count,
                           MaxForward<T, 1, kOrder>{w, x, y, index, mask});
      } else {
        const auto on_cpu = [&] { return AveForward<T, kCpuWidth, Order::kNchw>{w, x, y}; };
        run_pooling<kHalf>(rows, work, on_cpu, count, AveForward<T, 1, kOrder>{w, x, y});
      }
    });
  });
}

template <typename Dtype>
void PoolingLayer<Dtype>::forward_stochastic(const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  const Windows w = {channels_, height_,   width_,    pooled_height_, pooled_width_, kernel_h_,
                     kernel_w_, stride_h_, stride_w_, pad_h_,         pad_w_};
  const Dtype* const x = bottom.active_data();
  Dtype* const y = top->mutable_active_data();
  if (this->phase_ == TRAIN) {
    draw_gpu_seed(&seed_);
    parallel_for_seeded(
        top->count(), seed_,
        StochasticTrain<Dtype>{w, x, RandomBits(seed_.value), y, max_idx_.mutable_active_data()});
  } else {
    parallel_for(top->count(), StochasticTest<Dtype>{w, x, y});
  }
}

template <typename Dtype>
void PoolingLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!propagate_down[0]) return;
  CAFFE_CHECK(method() != PoolingParameter::STOCHASTIC || this->phase_ == TRAIN,
              this->name() << "STOCHASTIC pooling has a gradient in the phase TRAIN only");
  const Windows w = {channels_, height_,   width_,    pooled_height_, pooled_width_, kernel_h_,
                     kernel_w_, stride_h_, stride_w_, pad_h_,         pad_w_};
  const bool average = method() == PoolingParameter::AVE;
  const int planes = bottom[0]->count(0, 2), size = height_ * width_, count = bottom[0]->count();
  with_values<Dtype>(format(*bottom[0], top), [&](auto values) {
    using T = typename decltype(values)::Type;
    constexpr bool kHalf = decltype(values)::kHalf;
    const T* const dy = values.diff(*top[0]);
    const int* const index = average ? nullptr : data_in(values.order, max_idx_);
    T* const dx = values.mutable_diff(bottom[0]);
    with_order(values.order, [&](auto fixed) {
      constexpr Order kOrder = decltype(fixed)::value;
      if (average) {
        const auto on_cpu = [&] { return AveScatter<T>{w, dy, dx}; };
        run_pooling<kHalf>(planes, size, on_cpu, count, AveGather<T, kOrder>{w, dy, dx});
      } else {
        const auto on_cpu = [&] { return TakenScatter<T>{w, dy, index, dx}; };
        run_pooling<kHalf>(planes, size, on_cpu, count, TakenGather<T, kOrder>{w, dy, index, dx});
      }
    });
  });
}

INSTANTIATE_CLASS(PoolingLayer);
REGISTER_LAYER_WITH_ENGINE(Pooling, pooling_param);

}  // namespace caffe
