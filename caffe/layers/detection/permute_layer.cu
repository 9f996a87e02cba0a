#include "caffe/layers/detection/permute_layer.hpp"

#include <algorithm>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Where the values of an array with permuted axes are in the plain one.
struct PermutedAxes {
  int axes;
  int length[kMaxBlobAxes];
  int stride[kMaxBlobAxes];
  /// Of value i of the first `count` axes, with 0 on the others.
  CAFFE_HD int place(int i, int count) const {
    int at = 0;
    for (int k = count - 1; k >= 0; --k) {
      at += i % length[k] * stride[k];
      i /= length[k];
    }
    return at;
  }
};

/// y[i] = x[place of i], or the inverse: y[place of i] = x[i].
template <typename T, bool kInverse>
struct MoveValue {
  PermutedAxes axes;
  const T* x;
  T* y;
  CAFFE_HD void operator()(int i) const {
    const int at = axes.place(i, axes.axes);
    if (kInverse) {
      y[at] = x[i];
    } else {
      y[i] = x[at];
    }
  }
};

/// The same for a row, the values along the last axis.
template <typename T, bool kInverse>
struct MoveRow {
  PermutedAxes axes;
  const T* x;
  T* y;
  CAFFE_HD void operator()(int row) const {
    const int last = axes.axes - 1, n = axes.length[last], step = axes.stride[last];
    const int from = axes.place(row, last);
    const T* const in = x + (kInverse ? row * n : from);
    T* const out = y + (kInverse ? from : row * n);
    for (int j = 0; j < n; ++j) out[kInverse ? j * step : j] = in[kInverse ? j : j * step];
  }
};

template <bool kInverse, typename T>
void move(const std::vector<int>& lengths, const std::vector<int>& strides, const T* x, T* y) {
  PermutedAxes axes = {};
  axes.axes = static_cast<int>(lengths.size());
  std::copy(lengths.begin(), lengths.end(), axes.length);
  std::copy(strides.begin(), strides.end(), axes.stride);
  int64_t rows = 1;
  for (int k = 0; k + 1 < axes.axes; ++k) rows *= lengths[k];
  const int row = lengths.back();
  parallel_for(current_device(), rows, row, MoveRow<T, kInverse>{axes, x, y}, rows * row,
               MoveValue<T, kInverse>{axes, x, y});
}

}  // namespace

template <typename Dtype>
void PermuteLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
std::vector<int> PermuteLayer<Dtype>::full_order(const Blob<Dtype>& bottom) const {
  std::vector<int> order;
  const auto named = [&](int axis) {
    return std::find(order.begin(), order.end(), axis) != order.end();
  };
  for (const unsigned int axis : this->layer_param_.permute_param().order()) {
    CAFFE_CHECK(axis < static_cast<unsigned int>(bottom.num_axes()),
                this->name() << "order names axis " << axis << ", and the bottom has "
                             << bottom.num_axes() << " axes (shape " << bottom.shape_string()
                             << "), the first of which is 0");
    CAFFE_CHECK(!named(static_cast<int>(axis)),
                this->name() << "order names axis " << axis << " twice: name each axis once");
    order.push_back(static_cast<int>(axis));
  }
  for (int axis = 0; axis < bottom.num_axes(); ++axis) {
    if (!named(axis)) order.push_back(axis);
  }
  return order;
}

template <typename Dtype>
void PermuteLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const std::vector<int> order = full_order(*bottom[0]);
  std::vector<int> shape;
  lengths_.clear();
  strides_.clear();
  for (size_t k = 0; k < order.size(); ++k) {
    const int length = bottom[0]->shape(order[k]), stride = bottom[0]->count(order[k] + 1);
    shape.push_back(length);
    if (k > 0 && order[k] == order[k - 1] + 1) {
      lengths_.back() *= length;
      strides_.back() = stride;
    } else {
      lengths_.push_back(length);
      strides_.push_back(stride);
    }
  }
  top[0]->Reshape(shape);
  moves_ = !std::is_sorted(order.begin(), order.end());
  if (moves_) return;
  top[0]->ShareData(*bottom[0]);
  top[0]->ShareDiff(*bottom[0]);
}

template <typename Dtype>
void PermuteLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (!moves_) return;
  move<false>(lengths_, strides_, bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void PermuteLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!moves_ || !propagate_down[0]) return;
  move<true>(lengths_, strides_, top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(PermuteLayer);
REGISTER_LAYER_CLASS(Permute);

}  // namespace caffe
