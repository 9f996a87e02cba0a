#include "caffe/layers/geometry/spatial_transformer_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/active.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// theta of each image: the fixed elements and those that a blob holds.
template <typename T>
struct Theta {
  int learnt;     // values of an image in `given`
  int elements;   // the numbers, 0 to 5, of those that are learnt: three bits each
  int source[6];  // index in an image's values; -1: fixed
  T fixed[6];
  const T* given;  // [num, learnt]
  CAFFE_HD T at(int image, int k) const {
    return source[k] < 0 ? fixed[k] : given[static_cast<int64_t>(image) * learnt + source[k]];
  }
};

/// A place on a map between four neighbours: rows row, row + 1, columns column, column + 1.
template <typename T>
struct SampledPlace {
  int height, width;
  bool near;  // some neighbour is on the map
  int row, column;
  T down, right;  // 0 to 1, from (row, column)
  CAFFE_HD SampledPlace(int rows, int columns, T y, T x)
      : height(rows),
        width(columns),
        near(y > T(-1) && y < T(rows) && x > T(-1) && x < T(columns)),
        row(0),
        column(0),
        down(0),
        right(0) {
    if (!near) return;
    row = static_cast<int>(std::floor(y));
    column = static_cast<int>(std::floor(x));
    down = y - static_cast<T>(row);
    right = x - static_cast<T>(column);
  }
  CAFFE_HD bool holds(int i, int j) const {
    return row + i >= 0 && row + i < height && column + j >= 0 && column + j < width;
  }
  CAFFE_HD int at(int i, int j) const { return (row + i) * width + column + j; }
  CAFFE_HD T value(const T* plane, int i, int j) const {
    return holds(i, j) ? plane[at(i, j)] : T(0);
  }
  CAFFE_HD T weight(int i, int j) const {
    return (i == 0 ? T(1) - down : down) * (j == 0 ? T(1) - right : right);
  }
};

/// Where each value of the top lies.
template <typename T>
struct Grid {
  int height, width;          // of the maps
  int out_height, out_width;  // of the tops
  Theta<T> theta;
  CAFFE_HD T coordinate(int axis, int i) const {  // of output i, for axis 2: the constant
    if (axis == 2) return T(1);
    return T(2) * static_cast<T>(i) / static_cast<T>(axis == 0 ? out_height : out_width) - T(1);
  }
  /// i counts the outputs of an image, row by row.
  CAFFE_HD SampledPlace<T> place(int image, int i) const {
    const T s = coordinate(0, i / out_width), t = coordinate(1, i % out_width);
    const T p = theta.at(image, 0) * s + theta.at(image, 1) * t + theta.at(image, 2);
    const T q = theta.at(image, 3) * s + theta.at(image, 4) * t + theta.at(image, 5);
    return SampledPlace<T>(height, width, (p + T(1)) / T(2) * static_cast<T>(height),
                           (q + T(1)) / T(2) * static_cast<T>(width));
  }
};

template <typename T>
struct Sample {
  Grid<T> grid;
  int channels;
  const T* x;  // [num, channels, height, width]
  T* y;        // [num, channels, out_height, out_width]
  CAFFE_HD void operator()(int i) const {
    const int size = grid.out_height * grid.out_width, plane = i / size;
    const SampledPlace<T> place = grid.place(plane / channels, i % size);
    const T* const from = x + static_cast<int64_t>(plane) * grid.height * grid.width;
    T sum = T(0);
    for (int k = 0; k < 4 && place.near; ++k) {
      sum += place.weight(k / 2, k % 2) * place.value(from, k / 2, k % 2);
    }
    y[i] = sum;
  }
};

/// dx of one plane. A gather would have to invert theta, which may be singular.
template <typename T>
struct Spread {
  Grid<T> grid;
  int channels;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int plane) const {
    const int size = grid.height * grid.width, outputs = grid.out_height * grid.out_width;
    T* const to = dx + static_cast<int64_t>(plane) * size;
    const T* const from = dy + static_cast<int64_t>(plane) * outputs;
    for (int i = 0; i < size; ++i) to[i] = T(0);
    for (int i = 0; i < outputs; ++i) {
      const SampledPlace<T> place = grid.place(plane / channels, i);
      for (int k = 0; k < 4 && place.near; ++k) {
        if (place.holds(k / 2, k % 2))
          to[place.at(k / 2, k % 2)] += place.weight(k / 2, k % 2) * from[i];
      }
    }
  }
};

/// The gradients of (p, q) at one output, summed over the channels.
template <typename T>
struct PlaceGradient {
  Grid<T> grid;
  int channels;
  const T* x;
  const T* dy;
  T* place_diff;  // [num, 2, out_height, out_width]
  CAFFE_HD void operator()(int i) const {
    const int outputs = grid.out_height * grid.out_width, image = i / outputs, at = i % outputs;
    const SampledPlace<T> place = grid.place(image, at);
    T down = T(0), right = T(0);
    for (int c = 0; c < channels && place.near; ++c) {
      const int64_t plane = static_cast<int64_t>(image) * channels + c;
      const T* const map = x + plane * grid.height * grid.width;
      const T v00 = place.value(map, 0, 0), v01 = place.value(map, 0, 1);
      const T v10 = place.value(map, 1, 0), v11 = place.value(map, 1, 1);
      const T by = dy[plane * outputs + at];
      down += by * ((T(1) - place.right) * (v10 - v00) + place.right * (v11 - v01));
      right += by * ((T(1) - place.down) * (v01 - v00) + place.down * (v11 - v10));
    }
    T* const to = place_diff + static_cast<int64_t>(image) * 2 * outputs + at;
    to[0] = down * static_cast<T>(grid.height) / T(2);
    to[outputs] = right * static_cast<T>(grid.width) / T(2);
  }
};

/// The gradients of theta's learnt elements, for channel_sums: a channel is one element of one
/// image, its values the outputs.
template <typename T>
struct ThetaTerms {
  using Value = T;
  Grid<T> grid;
  const T* place_diff;
  template <typename W>
  CAFFE_HD Product<W> first(int c, int i) const {
    const int outputs = grid.out_height * grid.out_width, k = i - c * outputs;
    const int image = c / grid.theta.learnt;
    const int element = grid.theta.elements >> (3 * (c % grid.theta.learnt)) & 7;
    const int index = element % 3 == 0 ? k / grid.out_width : k % grid.out_width;
    const int64_t row = static_cast<int64_t>(image) * 2 + element / 3;
    return {static_cast<W>(place_diff[row * outputs + k]),
            static_cast<W>(grid.coordinate(element % 3, index))};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct StoreTheta {
  T* dtheta;  // [num, learnt]
  CAFFE_HD void operator()(int c, double sum, double) const { dtheta[c] = static_cast<T>(sum); }
};

template <typename T>
Grid<T> make_grid(const std::vector<int>& learnt, const std::vector<T>& fixed,
                  const Blob<T>& bottom, const Blob<T>& theta, const Blob<T>& top) {
  Grid<T> grid = {};  // no byte of a kernel's argument is left undefined
  grid.height = bottom.shape(2);
  grid.width = bottom.shape(3);
  grid.out_height = top.shape(2);
  grid.out_width = top.shape(3);
  grid.theta.learnt = static_cast<int>(learnt.size());
  std::fill_n(grid.theta.source, 6, -1);
  for (int i = 0; i < grid.theta.learnt; ++i) {
    grid.theta.source[learnt[i]] = i;
    grid.theta.elements |= learnt[i] << (3 * i);
  }
  std::copy(fixed.begin(), fixed.end(), grid.theta.fixed);
  grid.theta.given = theta.count() > 0 ? theta.active_data() : nullptr;
  return grid;
}

}  // namespace

template <typename Dtype>
void SpatialTransformerLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const SpatialTransformerParameter& param = this->layer_param_.st_param();
  CAFFE_CHECK(param.transform_type() == "affine" && param.sampler_type() == "bilinear",
              this->name() << "knows the transform_type \"affine\" and the sampler_type "
                           << "\"bilinear\"; they are \"" << param.transform_type() << "\" and \""
                           << param.sampler_type() << "\"");
  const bool given[6] = {param.has_theta_1_1(), param.has_theta_1_2(), param.has_theta_1_3(),
                         param.has_theta_2_1(), param.has_theta_2_2(), param.has_theta_2_3()};
  theta_ = {Dtype(param.theta_1_1()), Dtype(param.theta_1_2()), Dtype(param.theta_1_3()),
            Dtype(param.theta_2_1()), Dtype(param.theta_2_2()), Dtype(param.theta_2_3())};
  learnt_.clear();
  for (int k = 0; k < 6; ++k) {
    if (!given[k]) learnt_.push_back(k);
  }
}

template <typename Dtype>
void SpatialTransformerLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const SpatialTransformerParameter& param = this->layer_param_.st_param();
  CAFFE_CHECK(bottom[0]->num_axes() == 4, this->name() << "bottom 0, the maps, needs four axes, "
                                                       << "N x C x H x W; it is "
                                                       << bottom[0]->shape_string());
  const int images = bottom[0]->shape(0), learnt = static_cast<int>(learnt_.size());
  CAFFE_CHECK(
      bottom[1]->num_axes() >= 1 && bottom[1]->shape(0) == images && bottom[1]->count(1) == learnt,
      this->name() << "bottom 1, theta without its " << 6 - learnt << " fixed elements, "
                   << "needs the shape " << images << " x " << learnt << "; it is "
                   << bottom[1]->shape_string());
  const int height = param.has_output_h() ? param.output_h() : bottom[0]->shape(2);
  const int width = param.has_output_w() ? param.output_w() : bottom[0]->shape(3);
  CAFFE_CHECK(height > 0 && width > 0, this->name() << "output_H and output_W must be above 0; the "
                                                    << "top would be " << height << " x " << width);
  top[0]->Reshape({images, bottom[0]->shape(1), height, width});
  place_diff_.Reshape({images, 2, height, width});
}

template <typename Dtype>
void SpatialTransformerLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  parallel_rows(
      top[0]->count(), 16,
      Sample<Dtype>{make_grid(learnt_, theta_, *bottom[0], *bottom[1], *top[0]),
                    bottom[0]->shape(1), bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void SpatialTransformerLayer<Dtype>::theta_gradient(const Blobs& top, const Blobs& bottom) {
  const Grid<Dtype> grid = make_grid(learnt_, theta_, *bottom[0], *bottom[1], *top[0]);
  const int images = bottom[0]->shape(0), channels = bottom[0]->shape(1);
  const int outputs = top[0]->count(2);
  parallel_rows(images * outputs, channels,
                PlaceGradient<Dtype>{grid, channels, bottom[0]->active_data(),
                                     top[0]->active_diff(), place_diff_.mutable_active_data()});
  channel_sums(ChannelShape{1, bottom[1]->count(), outputs},
               ThetaTerms<Dtype>{grid, place_diff_.active_data()}, &sums_,
               StoreTheta<Dtype>{bottom[1]->mutable_active_diff()});
}

template <typename Dtype>
void SpatialTransformerLayer<Dtype>::Backward_any(const Blobs& top,
                                                  const std::vector<bool>& propagate_down,
                                                  const Blobs& bottom) {
  if (propagate_down[1] && bottom[1]->count() > 0) theta_gradient(top, bottom);
  if (!propagate_down[0]) return;
  Dtype* const dx = bottom[0]->mutable_active_diff();
  if (!this->layer_param_.st_param().to_compute_du()) {
    active_set(bottom[0]->count(), Dtype(0), dx);
    return;
  }
  parallel_rows(bottom[0]->count(0, 2), bottom[0]->count(2) + 16 * int64_t(top[0]->count(2)),
                Spread<Dtype>{make_grid(learnt_, theta_, *bottom[0], *bottom[1], *top[0]),
                              bottom[0]->shape(1), top[0]->active_diff(), dx});
}

INSTANTIATE_CLASS(SpatialTransformerLayer);
REGISTER_LAYER_CLASS(SpatialTransformer);

}  // namespace caffe
