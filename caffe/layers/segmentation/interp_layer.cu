#include "caffe/layers/segmentation/interp_layer.hpp"

#include <cstdint>
#include <limits>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// How an axis of the top samples one of the bottom. Places count from `offset` on.
template <typename T>
struct Axis {
  int length;           // of the bottom
  int offset;           // what is cut off its beginning
  int inside;           // what is left
  int out;              // of the top
  const int* first;     // [out], the place before each value
  const int* touching;  // [inside + 1]: the first value of the top whose `first` is that or more
  const T* weight;      // [out], of the place after `first`

  CAFFE_HD int second(int i) const { return first[i] + 1 < inside ? first[i] + 1 : first[i]; }
  /// The values of the top, [*begin, *end), that place k contributes to.
  CAFFE_HD void readers(int k, int* begin, int* end) const {
    *begin = touching[k > 0 ? k - 1 : 0];
    *end = touching[k + 1];
  }
  /// The weight of place k in a value among its readers.
  CAFFE_HD T share(int i, int k) const { return first[i] == k ? T(1) - weight[i] : weight[i]; }
};

template <typename T>
struct InterpForward {
  Axis<T> rows, columns;
  const T* x;  // [planes, rows.length, columns.length]
  T* y;        // [planes, rows.out, columns.out]
  CAFFE_HD void operator()(int row, int i) const {
    const int plane = row / rows.out, h = row % rows.out, w = i - row * columns.out;
    const int64_t before = static_cast<int64_t>(plane) * rows.length + rows.offset;
    const T* const above = x + (before + rows.first[h]) * columns.length + columns.offset;
    const T* const below = x + (before + rows.second(h)) * columns.length + columns.offset;
    const T down = rows.weight[h], right = columns.weight[w];
    const int left = columns.first[w], next = columns.second(w);
    const T upper = (T(1) - right) * above[left] + right * above[next];
    const T lower = (T(1) - right) * below[left] + right * below[next];
    y[i] = (T(1) - down) * upper + down * lower;
  }
};

/// Each value of the bottom collects its gradient, so no two threads add to one place.
template <typename T>
struct InterpBackward {
  Axis<T> rows, columns;
  const T* dy;  // [planes, rows.out, columns.out]
  T* dx;        // [planes, rows.length, columns.length]
  CAFFE_HD void operator()(int row, int i) const {
    const int plane = row / rows.length, h = row % rows.length - rows.offset;
    const int w = i - row * columns.length - columns.offset;
    T sum = T(0);
    if (h >= 0 && h < rows.inside && w >= 0 && w < columns.inside) {
      int y0, y1, x0, x1;
      rows.readers(h, &y0, &y1);
      columns.readers(w, &x0, &x1);
      for (int y = y0; y < y1; ++y) {
        const T* const from = dy + (static_cast<int64_t>(plane) * rows.out + y) * columns.out;
        T part = T(0);
        for (int j = x0; j < x1; ++j) part += columns.share(j, w) * from[j];
        sum += rows.share(y, h) * part;
      }
    }
    dx[i] = sum;
  }
};

/// The axes of planes that places_ and weights_ of the layer describe.
template <typename T>
struct ResizedAxes {
  Axis<T> rows, columns;
  ResizedAxes(const Blob<T>& bottom, int offset, const std::array<int, 2>& inside,
              const std::array<int, 2>& out, const int* places, const T* weights)
      : rows{bottom.shape(2), offset, inside[0], out[0], places, places + out[0], weights},
        columns{bottom.shape(3), offset, inside[1], out[1], nullptr, nullptr, weights + out[0]} {
    columns.first = rows.touching + inside[0] + 1;
    columns.touching = columns.first + out[1];
  }
};

}  // namespace

template <typename Dtype>
void InterpLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const InterpParameter& p = this->layer_param_.interp_param();
  CAFFE_CHECK(p.pad_beg() <= 0 && p.pad_end() <= 0,
              this->name() << "pad_beg is " << p.pad_beg() << " and pad_end " << p.pad_end()
                           << "; they cut rows and columns off and must be at most 0");
  const bool factor = p.has_shrink_factor() || p.has_zoom_factor();
  const bool size = p.has_height() && p.has_width();
  if (bottom.size() > 1) {
    CAFFE_CHECK(!factor && !p.has_height() && !p.has_width(),
                this->name() << "has a second bottom, whose size is the top's, and interp_param "
                             << "gives a size as well: remove one of them");
    return;
  }
  CAFFE_CHECK(factor || size, this->name() << "interp_param needs height and width, zoom_factor "
                                           << "or shrink_factor");
  CAFFE_CHECK(p.shrink_factor() >= 1 && p.zoom_factor() >= 1,
              this->name() << "shrink_factor is " << p.shrink_factor() << " and zoom_factor "
                           << p.zoom_factor() << "; they must be at least 1");
}

template <typename Dtype>
int InterpLayer<Dtype>::resized(int inside, int given) const {
  const InterpParameter& p = this->layer_param_.interp_param();
  const bool one_factor = p.has_shrink_factor() != p.has_zoom_factor();
  if (!one_factor && p.has_height() && p.has_width()) return given;
  const int64_t shrunk = (inside - 1) / p.shrink_factor() + 1;
  const int64_t zoomed = shrunk + (shrunk - 1) * (p.zoom_factor() - 1);
  CAFFE_CHECK(zoomed <= std::numeric_limits<int>::max(),
              this->name() << "zoom_factor " << p.zoom_factor() << " makes " << zoomed << " of "
                           << inside << " rows or columns, too many");
  return static_cast<int>(zoomed);
}

template <typename Dtype>
void InterpLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const InterpParameter& p = this->layer_param_.interp_param();
  for (const Blob<Dtype>* const blob : bottom) {
    CAFFE_CHECK(blob->num_axes() == 4, this->name() << "its bottoms need four axes, N x C x H x W; "
                                                    << "one is " << blob->shape_string());
  }
  const int given[] = {p.height(), p.width()};
  for (int a = 0; a < 2; ++a) {
    const int64_t left = int64_t{bottom[0]->shape(2 + a)} + p.pad_beg() + p.pad_end();
    CAFFE_CHECK(left >= 1, this->name()
                               << "pad_beg " << p.pad_beg() << " and pad_end " << p.pad_end()
                               << " leave nothing of the bottom, " << bottom[0]->shape_string());
    inside_[a] = static_cast<int>(left);
    out_[a] = bottom.size() > 1 ? bottom[1]->shape(2 + a) : resized(inside_[a], given[a]);
    CAFFE_CHECK(out_[a] >= 1, this->name() << "the top would be " << out_[a] << " "
                                           << (a == 0 ? "rows high" : "columns wide")
                                           << "; it must be at least 1");
  }
  top[0]->Reshape({bottom[0]->shape(0), bottom[0]->shape(1), out_[0], out_[1]});
}

template <typename Dtype>
void InterpLayer<Dtype>::sample() {
  const std::array<int, 4> sizes = {{inside_[0], inside_[1], out_[0], out_[1]}};
  if (sizes == sampled_) return;
  const int64_t count = int64_t{out_[0]} + inside_[0] + out_[1] + inside_[1] + 2;
  CAFFE_CHECK(count <= std::numeric_limits<int>::max(),
              this->name() << "a top of " << out_[0] << " x " << out_[1] << " is too large");
  places_.Reshape({static_cast<int>(count)});
  weights_.Reshape({out_[0] + out_[1]});
  int* place = places_.mutable_cpu_data();
  Dtype* weight = weights_.mutable_cpu_data();
  for (int a = 0; a < 2; ++a) {
    const int64_t whole = out_[a] > 1 ? out_[a] - 1 : 1;
    int* const touching = place + out_[a];
    int known = 0;
    for (int i = 0; i < out_[a]; ++i) {
      const int64_t at = out_[a] > 1 ? static_cast<int64_t>(i) * (inside_[a] - 1) : 0;
      place[i] = static_cast<int>(at / whole);
      weight[i] = static_cast<Dtype>(at % whole) / static_cast<Dtype>(whole);
      for (; known <= place[i]; ++known) touching[known] = i;
    }
    for (; known <= inside_[a]; ++known) touching[known] = out_[a];
    place += out_[a] + inside_[a] + 1;
    weight += out_[a];
  }
  sampled_ = sizes;
}

template <typename Dtype>
void InterpLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  sample();
  const int offset = -this->layer_param_.interp_param().pad_beg();
  const ResizedAxes<Dtype> axes(*bottom[0], offset, inside_, out_, places_.active_data(),
                                weights_.active_data());
  parallel_planes(top[0]->count(0, 3), out_[1],
                  InterpForward<Dtype>{axes.rows, axes.columns, bottom[0]->active_data(),
                                       top[0]->mutable_active_data()});
}

template <typename Dtype>
void InterpLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  const int offset = -this->layer_param_.interp_param().pad_beg();
  const ResizedAxes<Dtype> axes(*bottom[0], offset, inside_, out_, places_.active_data(),
                                weights_.active_data());
  parallel_planes(bottom[0]->count(0, 3), bottom[0]->shape(3),
                  InterpBackward<Dtype>{axes.rows, axes.columns, top[0]->active_diff(),
                                        bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(InterpLayer);
REGISTER_LAYER_CLASS(Interp);

}  // namespace caffe
