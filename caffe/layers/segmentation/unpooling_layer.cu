#include "caffe/layers/segmentation/unpooling_layer.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The windows along one axis of a plane of the top.
struct UnpoolingWindows {
  int count, kernel, stride, length;
  /// The values of the top, [*begin, *end), in window p.
  CAFFE_HD void inside(int p, int* begin, int* end) const {
    const int64_t first = static_cast<int64_t>(p) * stride, last = first + kernel;
    *begin = first < length ? static_cast<int>(first) : length;
    *end = last < length ? static_cast<int>(last) : length;
  }
  /// The windows, [*begin, *end), that hold value i of the top.
  CAFFE_HD void that_hold(int i, int* begin, int* end) const {
    *begin = i < kernel ? 0 : (i - kernel) / stride + 1;
    *end = i / stride + 1 < count ? i / stride + 1 : count;
  }
  CAFFE_HD int size(int p) const {
    int begin, end;
    inside(p, &begin, &end);
    return end - begin;
  }
};

/// AVE and TILE.
template <typename T>
struct SpreadWindows {
  bool divide;
  UnpoolingWindows rows, columns;
  const T* x;  // [planes, rows.count, columns.count]
  T* y;        // [planes, rows.length, columns.length]
  CAFFE_HD void operator()(int row, int i) const {
    const int plane = row / rows.length;
    int y0, y1, x0, x1;
    rows.that_hold(row % rows.length, &y0, &y1);
    columns.that_hold(i - row * columns.length, &x0, &x1);
    T sum = T(0);
    for (int h = y0; h < y1; ++h) {
      const T* const from = x + (static_cast<int64_t>(plane) * rows.count + h) * columns.count;
      for (int w = x0; w < x1; ++w) {
        const T size = divide ? T(rows.size(h) * columns.size(w)) : T(1);
        sum += from[w] / size;
      }
    }
    y[i] = sum;
  }
};

template <typename T>
struct CollectWindows {
  bool divide;
  UnpoolingWindows rows, columns;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int plane = row / rows.count;
    int y0, y1, x0, x1;
    rows.inside(row % rows.count, &y0, &y1);
    columns.inside(i - row * columns.count, &x0, &x1);
    T sum = T(0);
    for (int h = y0; h < y1; ++h) {
      const T* const from = dy + (static_cast<int64_t>(plane) * rows.length + h) * columns.length;
      for (int w = x0; w < x1; ++w) sum += from[w];
    }
    const int size = (y1 - y0) * (x1 - x0);
    dx[i] = divide && size > 0 ? sum / T(size) : sum;
  }
};

}  // namespace

template <typename Dtype>
void UnpoolingLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const UnpoolingParameter& p = this->layer_param_.unpooling_param();
  CAFFE_CHECK(p.pad() == 0 && p.pad_h() == 0 && p.pad_w() == 0,
              this->name() << "has no padding: remove pad, pad_h and pad_w, or make them 0");
  CAFFE_CHECK(p.has_unpool_size() || (p.has_unpool_h() && p.has_unpool_w()),
              this->name() << "unpooling_param needs unpool_size, or unpool_h and unpool_w");
  CAFFE_CHECK(bottom.size() == 1 || method() == UnpoolingParameter::MAX,
              this->name() << "only unpool: MAX has a second bottom, the places: remove it");
  read_windows();
}

template <typename Dtype>
void UnpoolingLayer<Dtype>::read_windows() {
  const UnpoolingParameter& p = this->layer_param_.unpooling_param();
  CAFFE_CHECK(p.has_kernel_h() == p.has_kernel_w() && p.has_stride_h() == p.has_stride_w(),
              this->name() << "give kernel_h and kernel_w both, and stride_h and stride_w both");
  CAFFE_CHECK(p.has_kernel_size() || p.has_kernel_h() || method() == UnpoolingParameter::MAX,
              this->name() << "unpooling_param needs kernel_size, or kernel_h and kernel_w");
  const auto length = [&](const char* what, uint32_t value) {
    CAFFE_CHECK(value >= 1 && value <= 0x7fffffffu,
                this->name() << what << " is " << value << "; it must be at least 1");
    return static_cast<int>(value);
  };
  if (method() != UnpoolingParameter::MAX) {
    kernel_h_ = length("the kernel's height", p.has_kernel_h() ? p.kernel_h() : p.kernel_size());
    kernel_w_ = length("the kernel's width", p.has_kernel_w() ? p.kernel_w() : p.kernel_size());
  }
  stride_h_ = length("the stride", p.has_stride_h() ? p.stride_h() : p.stride());
  stride_w_ = length("the stride", p.has_stride_w() ? p.stride_w() : p.stride());
  height_ = length("the top's height", p.has_unpool_size() ? p.unpool_size() : p.unpool_h());
  width_ = length("the top's width", p.has_unpool_size() ? p.unpool_size() : p.unpool_w());
}

template <typename Dtype>
void UnpoolingLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const Blob<Dtype>& x = *bottom[0];
  CAFFE_CHECK(x.num_axes() == 4, this->name() << "the bottom needs four axes, N x C x H x W; its "
                                              << "shape is " << x.shape_string());
  CAFFE_CHECK(bottom.size() == 1 || bottom[1]->shape() == x.shape(),
              this->name() << "bottom 1, the places, has shape " << bottom[1]->shape_string()
                           << " and must have that of bottom 0, " << x.shape_string());
  top[0]->Reshape({x.shape(0), x.shape(1), height_, width_});
  if (method() == UnpoolingParameter::MAX && bottom.size() == 1 &&
      first_places_.shape() != x.shape()) {
    place_first(x.shape());
  }
}

template <typename Dtype>
void UnpoolingLayer<Dtype>::place_first(const std::vector<int>& shape) {
  first_places_.Reshape(shape);
  if (first_places_.count() == 0) return;
  Dtype* place = first_places_.mutable_cpu_data();
  for (int plane = 0; plane < shape[0] * shape[1]; ++plane) {
    for (int h = 0; h < shape[2]; ++h) {
      for (int w = 0; w < shape[3]; ++w) {
        const int64_t y = std::min<int64_t>(static_cast<int64_t>(h) * stride_h_, height_ - 1);
        const int64_t x = std::min<int64_t>(static_cast<int64_t>(w) * stride_w_, width_ - 1);
        *place++ = static_cast<Dtype>(y * width_ + x);
      }
    }
  }
}

template <typename Dtype>
void UnpoolingLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (method() == UnpoolingParameter::MAX) {
    return put_back_.forward(this->name(), *bottom[0], places(bottom), top[0]);
  }
  const UnpoolingWindows rows = {bottom[0]->shape(2), kernel_h_, stride_h_, height_};
  const UnpoolingWindows columns = {bottom[0]->shape(3), kernel_w_, stride_w_, width_};
  parallel_planes(top[0]->count(0, 3), width_,
                  SpreadWindows<Dtype>{method() == UnpoolingParameter::AVE, rows, columns,
                                       bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void UnpoolingLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  if (method() == UnpoolingParameter::MAX) {
    return put_back_.backward(places(bottom), *top[0], bottom[0]);
  }
  const UnpoolingWindows rows = {bottom[0]->shape(2), kernel_h_, stride_h_, height_};
  const UnpoolingWindows columns = {bottom[0]->shape(3), kernel_w_, stride_w_, width_};
  parallel_planes(bottom[0]->count(0, 3), columns.count,
                  CollectWindows<Dtype>{method() == UnpoolingParameter::AVE, rows, columns,
                                        top[0]->active_diff(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(UnpoolingLayer);
REGISTER_LAYER_CLASS(Unpooling);

}  // namespace caffe
