#include "caffe/layers/softmax_layer.hpp"

#include <cmath>
#include <cstdint>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/cpu_width.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/row_teams.hpp"

namespace caffe {

namespace {

// Both passes exist in two forms. If the classes of an item are contiguous, a team works on an item
// (a warp or a block of threads on the GPU). If the classes of a pixel are a plane apart, a GPU
// thread works on one pixel, and a CPU thread on a block of neighbouring pixels.

template <typename T>
struct SoftmaxRow {
  int classes;
  const T* x;  // [items x classes]
  T* y;
  template <typename Team>
  CAFFE_HD void operator()(int item, const Team& team) const {
    const T* const in = x + static_cast<int64_t>(item) * classes;
    T* const out = y + static_cast<int64_t>(item) * classes;
    T largest = in[0];
    for (int c = team.rank(); c < classes; c += team.size()) {
      largest = in[c] > largest ? in[c] : largest;
    }
    largest = team.max(largest);
    T part = T(0);
    for (int c = team.rank(); c < classes; c += team.size()) {
      out[c] = std::exp(in[c] - largest);
      part += out[c];
    }
    const T sum = team.sum(part);
    for (int c = team.rank(); c < classes; c += team.size()) out[c] /= sum;
  }
};

/// dx = (dy - sum of dy y) y
template <typename T>
struct SoftmaxRowGradient {
  int classes;
  const T *y, *dy;
  T* dx;
  template <typename Team>
  CAFFE_HD void operator()(int item, const Team& team) const {
    const int64_t at = static_cast<int64_t>(item) * classes;
    T part = T(0);
    for (int c = team.rank(); c < classes; c += team.size()) part += dy[at + c] * y[at + c];
    const T dot = team.sum(part);
    for (int c = team.rank(); c < classes; c += team.size()) {
      dx[at + c] = (dy[at + c] - dot) * y[at + c];
    }
  }
};

/// kWidth neighbouring pixels of one outer item.
template <int kWidth>
struct PixelBlock {
  int64_t at;  // class 0 of the first pixel
  int n;
  CAFFE_HD PixelBlock(int i, int classes, int inner) {
    const int blocks = (inner + kWidth - 1) / kWidth;
    const int first = i % blocks * kWidth;
    n = inner - first < kWidth ? inner - first : kWidth;
    at = static_cast<int64_t>(i / blocks) * classes * inner + first;
  }
};

template <typename T, int kWidth>
struct SoftmaxPixels {
  int classes, inner;
  const T* x;  // [outer x classes x inner]
  T* y;
  CAFFE_HD void operator()(int i) const {
    const PixelBlock<kWidth> pixels(i, classes, inner);
    const int n = pixels.n;
    T largest[kWidth] = {}, sum[kWidth] = {};
    for (int j = 0; j < n; ++j) largest[j] = x[pixels.at + j];
    for (int c = 1; c < classes; ++c) {
      const T* const in = x + pixels.at + static_cast<int64_t>(c) * inner;
      MAAP_SIMD for (int j = 0; j < n; ++j) largest[j] = in[j] > largest[j] ? in[j] : largest[j];
    }
    for (int c = 0; c < classes; ++c) {
      const int64_t at = pixels.at + static_cast<int64_t>(c) * inner;
      for (int j = 0; j < n; ++j) {
        y[at + j] = std::exp(x[at + j] - largest[j]);
        sum[j] += y[at + j];
      }
    }
    for (int c = 0; c < classes; ++c) {
      T* const out = y + pixels.at + static_cast<int64_t>(c) * inner;
      MAAP_SIMD for (int j = 0; j < n; ++j) out[j] /= sum[j];
    }
  }
};

template <typename T, int kWidth>
struct SoftmaxPixelsGradient {
  int classes, inner;
  const T *y, *dy;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const PixelBlock<kWidth> pixels(i, classes, inner);
    const int n = pixels.n;
    T dot[kWidth];
    for (int j = 0; j < n; ++j) dot[j] = T(0);
    for (int c = 0; c < classes; ++c) {
      const int64_t at = pixels.at + static_cast<int64_t>(c) * inner;
      MAAP_SIMD for (int j = 0; j < n; ++j) dot[j] += dy[at + j] * y[at + j];
    }
    for (int c = 0; c < classes; ++c) {
      const int64_t at = pixels.at + static_cast<int64_t>(c) * inner;
      MAAP_SIMD for (int j = 0; j < n; ++j) dx[at + j] = (dy[at + j] - dot[j]) * y[at + j];
    }
  }
};

}  // namespace

template <typename Dtype>
void SoftmaxLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  softmax_axis_ = axis_of(*this, *bottom[0], this->layer_param_.softmax_param().axis());
  if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  outer_num_ = bottom[0]->count(0, softmax_axis_);
  inner_num_ = bottom[0]->count(softmax_axis_ + 1);
}

template <typename Dtype>
void SoftmaxLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int classes = bottom[0]->shape(softmax_axis_);
  const Dtype* const x = bottom[0]->active_data();
  Dtype* const y = top[0]->mutable_active_data();
  if (bottom[0]->count() == 0) return;
  if (inner_num_ == 1) {
    maap::parallel_row_teams(current_device(), outer_num_, classes,
                             SoftmaxRow<Dtype>{classes, x, y});
    return;
  }
  const int64_t blocks = (inner_num_ + kCpuWidth - 1) / kCpuWidth;
  parallel_for(current_device(), outer_num_ * blocks, static_cast<int64_t>(classes) * kCpuWidth,
               SoftmaxPixels<Dtype, kCpuWidth>{classes, inner_num_, x, y},
               static_cast<int64_t>(outer_num_) * inner_num_,
               SoftmaxPixels<Dtype, 1>{classes, inner_num_, x, y});
}

template <typename Dtype>
void SoftmaxLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!propagate_down[0] || bottom[0]->count() == 0) return;
  const int classes = top[0]->shape(softmax_axis_);
  const Dtype* const y = top[0]->active_data();
  const Dtype* const dy = top[0]->active_diff();
  Dtype* const dx = bottom[0]->mutable_active_diff();
  if (inner_num_ == 1) {
    maap::parallel_row_teams(current_device(), outer_num_, classes,
                             SoftmaxRowGradient<Dtype>{classes, y, dy, dx});
    return;
  }
  const int64_t blocks = (inner_num_ + kCpuWidth - 1) / kCpuWidth;
  parallel_for(current_device(), outer_num_ * blocks, static_cast<int64_t>(classes) * kCpuWidth,
               SoftmaxPixelsGradient<Dtype, kCpuWidth>{classes, inner_num_, y, dy, dx},
               static_cast<int64_t>(outer_num_) * inner_num_,
               SoftmaxPixelsGradient<Dtype, 1>{classes, inner_num_, y, dy, dx});
}

INSTANTIATE_CLASS(SoftmaxLayer);
REGISTER_LAYER_WITH_ENGINE(Softmax, softmax_param);

}  // namespace caffe
