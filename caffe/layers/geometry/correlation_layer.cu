#include "caffe/layers/geometry/correlation_layer.hpp"

#include <algorithm>
#include <climits>
#include <cmath>

#include "caffe/layers/cpu_width.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The windows of both maps; copied to the kernels.
struct Displacements {
  int channels, height, width;           // of the bottoms
  int side, out_height, out_width;       // of the top: side^2 channels
  int kernel, pad, reach, stride, step;  // reach: max_displacement; stride_1, stride_2

  /// The row or column of the first map that offset k of window i begins at; may be off the map.
  CAFFE_HD int at(int i, int k) const { return i * stride + reach + k - pad; }
  /// How far the second map's window is displaced for channel q.
  CAFFE_HD int down(int q) const { return (q / side - side / 2) * step; }
  CAFFE_HD int right(int q) const { return (q % side - side / 2) * step; }
  CAFFE_HD bool has_row(int row) const { return row >= 0 && row < height; }
  CAFFE_HD bool has_column(int column) const { return column >= 0 && column < width; }
  /// The windows i of [first, end) with low <= i * stride + base < high.
  CAFFE_HD void between(int base, int low, int high, int* first, int* end) const {
    const int from = low <= base ? 0 : (low - base + stride - 1) / stride;
    const int to = high <= base ? 0 : (high - 1 - base) / stride + 1;
    if (from > *first) *first = from;
    if (to < *end) *end = to;
  }
};

CAFFE_HD inline int lesser(int a, int b) {
  return a < b ? a : b;
}
CAFFE_HD inline int greater(int a, int b) {
  return a > b ? a : b;
}

/// What the padded map has in a row that starts at `row`, null if it is off the map.
template <typename T>
CAFFE_HD inline T padded(const Displacements& w, const T* row, int column) {
  return row != nullptr && w.has_column(column) ? row[column] : T(0);
}

/// Up to kWidth values of a row of the top. On the CPU a piece is as wide as a row in most nets, so
/// that its loops are vectorised; on the GPU a thread has one value.
template <typename T, int kWidth, bool kSubtract>
struct Compare {
  Displacements w;
  const T *a, *b;  // [num, channels, height, width]
  T* y;            // [num, side^2, out_height, out_width]
  CAFFE_HD void operator()(int i) const {
    const int pieces = (w.out_width + kWidth - 1) / kWidth;
    const int first = i % pieces * kWidth, n = lesser(kWidth, w.out_width - first);
    const int row = i / pieces % w.out_height;
    const int q = i / pieces / w.out_height % (w.side * w.side);
    const int image = i / pieces / w.out_height / (w.side * w.side);
    T sum[kWidth];
    for (int m = 0; m < n; ++m) sum[m] = T(0);
    for (int k = 0; k < w.kernel * w.kernel; ++k) {
      const int row_a = w.at(row, k / w.kernel), row_b = row_a + w.down(q);
      const bool has_a = w.has_row(row_a), has_b = w.has_row(row_b);
      if (kSubtract ? !has_a && !has_b : !has_a || !has_b) continue;
      const int column = w.at(first, k % w.kernel);
      for (int c = 0; c < w.channels; ++c) {
        const int64_t plane = (static_cast<int64_t>(image) * w.channels + c) * w.height * w.width;
        add(has_a ? a + plane + row_a * w.width : nullptr,
            has_b ? b + plane + row_b * w.width : nullptr, column, w.right(q), n, sum);
      }
    }
    const int64_t out = static_cast<int64_t>(i / pieces) * w.out_width + first;
    const T scale = static_cast<T>(w.kernel * w.kernel * w.channels);
    for (int m = 0; m < n; ++m) y[out + m] = sum[m] / scale;
  }

 private:
  CAFFE_HD void add(const T* row_a, const T* row_b, int column, int right, int n, T* sum) const {
    if (kSubtract) {
      for (int m = 0; m < n; ++m) {
        const int at = column + m * w.stride;
        sum[m] += std::fabs(padded(w, row_a, at) - padded(w, row_b, at + right));
      }
      return;
    }
    int from = 0, to = n;
    w.between(column, greater(0, -right), lesser(w.width, w.width - right), &from, &to);
    const int stride = w.stride;
    MAAP_SIMD for (int m = from; m < to; ++m) {
      sum[m] += row_a[column + m * stride] * row_b[column + right + m * stride];
    }
  }
};

/// Up to kWidth values of a row of one map's gradient, from all outputs whose windows hold them.
template <typename T, int kWidth, bool kSubtract>
struct CompareGradient {
  Displacements w;
  bool first;  // whether it is the first map's
  const T *own, *other, *dy;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const int pieces = (w.width + kWidth - 1) / kWidth;
    const int begin = i % pieces * kWidth, n = lesser(kWidth, w.width - begin);
    const int row = i / pieces % w.height;
    const int64_t plane = i / pieces / w.height;
    const int64_t image = plane / w.channels;
    const T* const others = other + plane * w.height * w.width;
    const T* const mine = own + (plane * w.height + row) * w.width;
    T sum[kWidth];
    for (int m = 0; m < n; ++m) sum[m] = T(0);
    for (int q = 0; q < w.side * w.side; ++q) {
      const int down = first ? w.down(q) : -w.down(q), right = first ? w.right(q) : -w.right(q);
      const bool has = w.has_row(row + down);
      if (!kSubtract && !has) continue;
      const T* const there = has ? others + (row + down) * w.width : nullptr;
      const int anchor = first ? row : row + down;  // the place on the first map
      for (int k = 0; k < w.kernel * w.kernel; ++k) {
        const int up = anchor - w.at(0, k / w.kernel);
        if (up < 0 || up % w.stride != 0 || up / w.stride >= w.out_height) continue;
        const T* const out = dy + ((image * w.side * w.side + q) * w.out_height + up / w.stride) *
                                      static_cast<int64_t>(w.out_width);
        const int base = w.at(0, k % w.kernel) - (first ? 0 : right);
        add(mine, there, out, base, right, begin, n, sum);
      }
    }
    const T scale = static_cast<T>(w.kernel * w.kernel * w.channels);
    const int64_t at = (plane * w.height + row) * w.width + begin;
    for (int m = 0; m < n; ++m) dx[at + m] = sum[m] / scale;
  }

 private:
  /// Adds the outputs of one row, of which output j belongs to the value in column j stride + base.
  CAFFE_HD void add(const T* mine, const T* there, const T* out, int base, int right, int begin,
                    int n, T* sum) const {
    int from = 0, to = w.out_width;
    const int low = kSubtract ? begin : greater(begin, -right);
    w.between(base, low, kSubtract ? begin + n : lesser(begin + n, w.width - right), &from, &to);
    if (kSubtract) {
      for (int j = from; j < to; ++j) {
        const int column = j * w.stride + base;
        const T gap = mine[column] - padded(w, there, column + right);
        sum[column - begin] += gap > T(0) ? out[j] : gap < T(0) ? -out[j] : T(0);
      }
      return;
    }
    const int stride = w.stride, shift = base - begin;
    MAAP_SIMD for (int j = from; j < to; ++j) {
      sum[j * stride + shift] += out[j] * there[j * stride + base + right];
    }
  }
};

template <typename T>
Displacements windows_of(const CorrelationParameter& param, const Blob<T>& bottom,
                         const Blob<T>& top) {
  const int reach = static_cast<int>(param.max_displacement());
  const int step = static_cast<int>(param.stride_2());
  return {bottom.shape(1),
          bottom.shape(2),
          bottom.shape(3),
          2 * (reach / step) + 1,
          top.shape(2),
          top.shape(3),
          static_cast<int>(param.kernel_size()),
          static_cast<int>(param.pad()),
          reach,
          static_cast<int>(param.stride_1()),
          step};
}

template <typename T, bool kSubtract>
void compare(const Displacements& w, int64_t rows, const T* a, const T* b, T* y) {
  const int pieces = (w.out_width + kCpuWidth - 1) / kCpuWidth;
  const int64_t work = int64_t(w.kernel) * w.kernel * w.channels * lesser(kCpuWidth, w.out_width);
  parallel_for(current_device(), rows * pieces, work, Compare<T, kCpuWidth, kSubtract>{w, a, b, y},
               rows * w.out_width, Compare<T, 1, kSubtract>{w, a, b, y});
}

template <typename T, bool kSubtract>
void compare_gradient(const Displacements& w, int64_t rows, bool first, const T* own,
                      const T* other, const T* dy, T* dx) {
  const int pieces = (w.width + kCpuWidth - 1) / kCpuWidth;
  const int64_t work = int64_t(w.kernel) * w.kernel * w.side * w.side * lesser(kCpuWidth, w.width);
  parallel_for(current_device(), rows * pieces, work,
               CompareGradient<T, kCpuWidth, kSubtract>{w, first, own, other, dy, dx},
               rows * w.width, CompareGradient<T, 1, kSubtract>{w, first, own, other, dy, dx});
}

}  // namespace

template <typename Dtype>
void CorrelationLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const CorrelationParameter& param = this->layer_param_.correlation_param();
  CAFFE_CHECK(param.has_kernel_size() && param.has_max_displacement(),
              this->name() << "correlation_param needs kernel_size and max_displacement");
  constexpr unsigned kMost = 1 << 14;
  CAFFE_CHECK(param.kernel_size() % 2 == 1 && param.kernel_size() < kMost,
              this->name() << "kernel_size must be odd; it is " << param.kernel_size());
  CAFFE_CHECK(param.stride_1() > 0 && param.stride_2() > 0 && param.stride_1() < kMost &&
                  param.stride_2() < kMost && param.pad() < kMost &&
                  param.max_displacement() < kMost,
              this->name() << "stride_1 and stride_2 must be above 0, and they, pad and "
                           << "max_displacement less than " << kMost);
  CAFFE_CHECK(param.single_direction() == 0,
              this->name() << "single_direction is " << param.single_direction()
                           << "; only 0, displacements to both sides, is known");
}

template <typename Dtype>
void CorrelationLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const CorrelationParameter& param = this->layer_param_.correlation_param();
  CAFFE_CHECK(bottom[0]->num_axes() == 4 && bottom[0]->shape() == bottom[1]->shape() &&
                  bottom[0]->shape(1) > 0,
              this->name() << "takes two maps of one shape, N x C x H x W; they are "
                           << bottom[0]->shape_string() << " and " << bottom[1]->shape_string());
  const int stride = static_cast<int>(param.stride_1());
  const int lost = 2 * static_cast<int>(param.max_displacement()) +
                   static_cast<int>(param.kernel_size()) - 1 - 2 * static_cast<int>(param.pad());
  const int height = bottom[0]->shape(2) - lost, width = bottom[0]->shape(3) - lost;
  CAFFE_CHECK(height > 0 && width > 0,
              this->name() << "maps of " << bottom[0]->shape(2) << " x " << bottom[0]->shape(3)
                           << " with pad " << param.pad() << " have no place for windows of "
                           << param.kernel_size() << " displaced by up to "
                           << param.max_displacement() << ": give a larger pad");
  const int side = 2 * static_cast<int>(param.max_displacement() / param.stride_2()) + 1;
  top[0]->Reshape({bottom[0]->shape(0), side * side, (height + stride - 1) / stride,
                   (width + stride - 1) / stride});
}

template <typename Dtype>
void CorrelationLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const CorrelationParameter& param = this->layer_param_.correlation_param();
  const Displacements w = windows_of(param, *bottom[0], *top[0]);
  const bool subtract = param.correlation_type() == CorrelationParameter::SUBTRACT;
  (subtract ? compare<Dtype, true>
            : compare<Dtype, false>)(w, top[0]->count(0, 3), bottom[0]->active_data(),
                                     bottom[1]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void CorrelationLayer<Dtype>::Backward_any(const Blobs& top,
                                           const std::vector<bool>& propagate_down,
                                           const Blobs& bottom) {
  const CorrelationParameter& param = this->layer_param_.correlation_param();
  const Displacements w = windows_of(param, *bottom[0], *top[0]);
  const bool subtract = param.correlation_type() == CorrelationParameter::SUBTRACT;
  const auto gradient = subtract ? compare_gradient<Dtype, true> : compare_gradient<Dtype, false>;
  for (int b = 0; b < 2; ++b) {
    if (!propagate_down[b]) continue;
    gradient(w, bottom[b]->count(0, 3), b == 0, bottom[b]->active_data(),
             bottom[1 - b]->active_data(), top[0]->active_diff(), bottom[b]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(CorrelationLayer);
REGISTER_LAYER_CLASS(Correlation);

}  // namespace caffe
