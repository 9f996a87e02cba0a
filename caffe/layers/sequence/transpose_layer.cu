#include "caffe/layers/sequence/transpose_layer.hpp"

#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Where the values of `to`, counted in their order, are in `from`.
struct TransposedAxes {
  int count;                 // without those of length 1
  int length[kMaxBlobAxes];  // of to
  int stride[kMaxBlobAxes];  // in from
  CAFFE_HD int64_t at(int i, int axes) const {
    int64_t sum = 0;
    for (int a = axes - 1; a >= 0; --a) {
      sum += static_cast<int64_t>(i % length[a]) * stride[a];
      i /= length[a];
    }
    return sum;
  }
};

/// One value.
template <typename T>
struct Reordered {
  TransposedAxes axes;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int i) const { to[i] = from[axes.at(i, axes.count)]; }
};

/// All values along the last axis of `to`: on the CPU, the divisions cost more than the copy.
template <typename T>
struct ReorderedRow {
  TransposedAxes axes;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int row) const {
    const int last = axes.count - 1, length = axes.length[last];
    const int64_t stride = axes.stride[last];
    const T* const source = from + axes.at(row, last);
    T* const target = to + static_cast<int64_t>(row) * length;
    MAAP_SIMD for (int i = 0; i < length; ++i) target[i] = source[i * stride];
  }
};

/// to = from, of that shape, with axis dim[i] as axis i.
template <typename T>
void reorder(const std::vector<int>& shape, const std::vector<int>& dim, const T* from, T* to) {
  std::vector<int> strides(shape.size());
  int count = 1;
  for (int a = static_cast<int>(shape.size()) - 1; a >= 0; --a) {
    strides[a] = count;
    count *= shape[a];
  }
  TransposedAxes axes = {};
  for (const int axis : dim) {
    if (shape[axis] == 1) continue;
    axes.length[axes.count] = shape[axis];
    axes.stride[axes.count++] = strides[axis];
  }
  if (axes.count == 0) axes.length[axes.count++] = 1;
  if (count == 0) return;
  const int row = axes.length[axes.count - 1];
  maap::parallel_for(current_device(), count / row, row, ReorderedRow<T>{axes, from, to}, count,
                     Reordered<T>{axes, from, to});
}

}  // namespace

template <typename Dtype>
void TransposeLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const TransposeParameter& param = this->layer_param_.transpose_param();
  dim_.assign(param.dim().begin(), param.dim().end());
  back_.assign(dim_.size(), -1);
  for (size_t i = 0; i < dim_.size(); ++i) {
    const bool fits = dim_[i] >= 0 && dim_[i] < static_cast<int>(dim_.size());
    CAFFE_CHECK(fits && back_[dim_[i]] < 0,
                this->name() << "transpose_param's dim must name each axis, 0 to "
                             << dim_.size() - 1 << ", once; it is " << shape_text(dim_));
    back_[dim_[i]] = static_cast<int>(i);
  }
}

template <typename Dtype>
void TransposeLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(bottom[0]->num_axes() == static_cast<int>(dim_.size()),
              this->name() << "transpose_param's dim has " << dim_.size()
                           << " axes, and the bottom " << bottom[0]->num_axes() << " (shape "
                           << bottom[0]->shape_string()
                           << "); name each of the bottom's axes once");
  std::vector<int> shape;
  for (const int axis : dim_) shape.push_back(bottom[0]->shape(axis));
  top[0]->Reshape(shape);
}

template <typename Dtype>
void TransposeLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  reorder(bottom[0]->shape(), dim_, bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void TransposeLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  reorder(top[0]->shape(), back_, top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(TransposeLayer);
REGISTER_LAYER_CLASS(Transpose);

}  // namespace caffe
