#include "caffe/layers/geometry/attention_crop_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/util/active.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/plain_terms.hpp"

namespace caffe {

namespace {

/// NaN becomes `low`.
template <typename T>
CAFFE_HD inline T within(T value, T low, T high) {
  return value > low ? (value < high ? value : high) : low;
}

/// A row's or column's place on an axis: between pixels `first` and `second`.
template <typename T>
struct CropPlace {
  T at;  // as x(j), perhaps beyond the outermost pixels' centres
  int first, second;
  T by;        // 0 to 1, from `first`
  bool moves;  // whether the value changes with the place
  /// `lowest` and `highest` are the outermost pixels.
  CAFFE_HD CropPlace(T where, T lowest, T highest) : at(where) {
    const T inside = within(where, lowest, highest);
    first = static_cast<int>(inside);
    second = static_cast<T>(first) < highest ? first + 1 : first;
    by = inside - static_cast<T>(first);
    moves = where >= lowest && where < highest;
  }
  CAFFE_HD T weight(int pixel) const {
    return (pixel == first ? T(1) - by : T(0)) + (pixel == second ? by : T(0));
  }
};

/// One axis of an image's box.
template <typename T>
struct CropAxis {
  int length, outputs;     // of the image, of the top
  T low, high;             // the box's edges
  T lowest, highest;       // the outermost pixels that are looked at
  bool low_cut, high_cut;  // to the image
  CAFFE_HD CropAxis(T centre, T half, int pixels, int size, bool whole)
      : length(pixels), outputs(size) {
    const T end = static_cast<T>(pixels);
    low = within(centre - half, T(0), end);
    high = within(centre + half, T(0), end);
    low_cut = low != centre - half;
    high_cut = high != centre + half;
    lowest = T(0);
    highest = end - T(1);
    if (!whole) return;
    low = lowest = within(std::floor(low), T(0), end - T(1));
    high = within(std::floor(high), low + T(1), end);
    highest = high - T(1);
  }
  CAFFE_HD T share(int i) const { return (static_cast<T>(i) + T(0.5)) / static_cast<T>(outputs); }
  CAFFE_HD CropPlace<T> place(int i) const {
    return CropPlace<T>(low + share(i) * (high - low) - T(0.5), lowest, highest);
  }
  /// The slopes of place i by the centre and by the half side.
  CAFFE_HD T centre_slope(int i) const {
    return (low_cut ? T(0) : T(1) - share(i)) + (high_cut ? T(0) : share(i));
  }
  CAFFE_HD T half_slope(int i) const {
    return (low_cut ? T(0) : share(i) - T(1)) + (high_cut ? T(0) : share(i));
  }
  /// The outputs whose places may be next to a pixel: [*begin, *end).
  CAFFE_HD void next_to(int pixel, int* begin, int* end) const {
    *begin = 0;
    *end = outputs;
    const T step = (high - low) / static_cast<T>(outputs);
    if (!(step > T(1e-3))) return;  // all places are about the same
    const T here = (static_cast<T>(pixel) + T(0.5) - low) / step - T(0.5), most = T(outputs);
    if (pixel > 0) *begin = static_cast<int>(within(here - T(1) / step - T(1), T(0), most));
    if (pixel < length - 1) {
      *end = static_cast<int>(within(here + T(1) / step + T(2), T(0), most));
    }
  }
};

/// The boxes of a batch.
template <typename T>
struct CropBoxes {
  int channels, height, width;  // of the images
  int size;                     // of the top's sides
  bool whole;                   // whether edges are whole pixels
  T least;                      // half side
  const T* attention;           // [num, 3]
  CAFFE_HD T value(int image, int k) const { return attention[3 * image + k]; }
  /// 0, or NaN if a number is not finite: NaN and infinity less themselves are NaN.
  CAFFE_HD T zero_or_nan(int image) const {
    const T x = value(image, 0), y = value(image, 1), l = value(image, 2);
    return (x - x) + (y - y) + (l - l);
  }
  CAFFE_HD bool too_small(int image) const { return !(value(image, 2) > least); }
  CAFFE_HD T half(int image) const { return too_small(image) ? least : value(image, 2); }
  CAFFE_HD CropAxis<T> columns(int image) const {
    return CropAxis<T>(value(image, 0), half(image), width, size, whole);
  }
  CAFFE_HD CropAxis<T> rows(int image) const {
    return CropAxis<T>(value(image, 1), half(image), height, size, whole);
  }
};

/// The nearest value of an 8-bit image.
template <typename T>
CAFFE_HD inline T level_of(T value) {
  return within(std::floor(value + T(0.5)), T(0), T(255));
}

template <typename T>
struct CropValue {
  CropBoxes<T> boxes;
  const T* mean;  // [channels]; null: values are not rounded
  const T* x;     // [num, channels, height, width]
  T* y;           // [num, channels, size, size]
  CAFFE_HD void operator()(int i) const {
    const int size = boxes.size, plane = i / size / size, image = plane / boxes.channels;
    const T nothing = boxes.zero_or_nan(image);
    if (!(nothing == T(0))) {
      y[i] = nothing;
      return;
    }
    const CropPlace<T> row = boxes.rows(image).place(i / size % size);
    const CropPlace<T> column = boxes.columns(image).place(i % size);
    const T* const from = x + static_cast<int64_t>(plane) * boxes.height * boxes.width;
    const T add = mean == nullptr ? T(0) : mean[plane % boxes.channels];
    T sum = T(0);
    for (int k = 0; k < 4; ++k) {
      const T pixel = from[(k < 2 ? row.first : row.second) * boxes.width +
                           (k % 2 == 0 ? column.first : column.second)];
      const T weight =
          (k < 2 ? T(1) - row.by : row.by) * (k % 2 == 0 ? T(1) - column.by : column.by);
      sum += weight * (mean == nullptr ? pixel : level_of(pixel + add));
    }
    y[i] = mean == nullptr ? sum : level_of(sum) - add;
  }
};

/// EXACT: a pixel's gradient, from all values of the crop that it is next to.
template <typename T>
struct CropImageGradient {
  CropBoxes<T> boxes;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const int x = i % boxes.width, y = i / boxes.width % boxes.height;
    const int plane = i / boxes.width / boxes.height, image = plane / boxes.channels;
    const CropAxis<T> rows = boxes.rows(image), columns = boxes.columns(image);
    const T* const from = dy + static_cast<int64_t>(plane) * boxes.size * boxes.size;
    int top, bottom, left, right;
    rows.next_to(y, &top, &bottom);
    columns.next_to(x, &left, &right);
    T sum = T(0);
    for (int row = top; row < bottom; ++row) {
      const T down = rows.place(row).weight(y);
      if (down == T(0)) continue;
      T line = T(0);
      for (int column = left; column < right; ++column) {
        line += columns.place(column).weight(x) * from[row * boxes.size + column];
      }
      sum += down * line;
    }
    dx[i] = sum;
  }
};

/// EXACT: what a place of the crop, all channels, adds to the gradient of its attention.
template <typename T>
struct CropPlaceGradient {
  CropBoxes<T> boxes;
  const T *x, *dy;
  T* terms;  // [num, 3, size, size]
  CAFFE_HD void operator()(int i) const {
    const int size = boxes.size, outputs = size * size, at = i % outputs, image = i / outputs;
    const CropAxis<T> rows = boxes.rows(image), columns = boxes.columns(image);
    const CropPlace<T> row = rows.place(at / size), column = columns.place(at % size);
    T down = T(0), right = T(0);
    for (int c = 0; c < boxes.channels; ++c) {
      const int64_t plane = static_cast<int64_t>(image) * boxes.channels + c;
      const T* const above = x + (plane * boxes.height + row.first) * boxes.width;
      const T* const below = x + (plane * boxes.height + row.second) * boxes.width;
      const T v00 = above[column.first], v01 = above[column.second];
      const T v10 = below[column.first], v11 = below[column.second];
      const T by = dy[plane * outputs + at];
      down += by * ((T(1) - column.by) * (v10 - v00) + column.by * (v11 - v01));
      right += by * ((T(1) - row.by) * (v01 - v00) + row.by * (v11 - v10));
    }
    if (!row.moves) down = T(0);
    if (!column.moves) right = T(0);
    T* const to = terms + static_cast<int64_t>(image) * 3 * outputs + at;
    to[0] = right * columns.centre_slope(at % size);
    to[outputs] = down * rows.centre_slope(at / size);
    to[2 * outputs] = boxes.too_small(image) ? T(0)
                                             : right * columns.half_slope(at % size) +
                                                   down * rows.half_slope(at / size);
  }
};

/// MASK: the largest |dy| of each channel.
template <typename T>
struct LargestGradient {
  int inner;
  const T* dy;  // [planes, inner]
  T* largest;   // [planes]
  template <typename Team>
  CAFFE_HD void operator()(int plane, const Team& team) const {
    const T* const from = dy + static_cast<int64_t>(plane) * inner;
    T most = T(0);
    for (int i = team.rank(); i < inner; i += Team::size()) {
      const T value = std::fabs(from[i]);
      if (value > most) most = value;
    }
    most = team.max(most);
    if (team.rank() == 0) largest[plane] = most;
  }
};

/// One axis of the window M at a place, and its slopes.
template <typename T>
struct WindowSide {
  T value, centre, half;
  CAFFE_HD WindowSide(T at, T middle, T reach, T steepness) {
    const T low = T(1) / (T(1) + std::exp(-steepness * (at - middle + reach)));
    const T high = T(1) / (T(1) + std::exp(-steepness * (at - middle - reach)));
    const T low_slope = steepness * low * (T(1) - low);
    const T high_slope = steepness * high * (T(1) - high);
    value = low - high;
    centre = high_slope - low_slope;
    half = high_slope + low_slope;
  }
};

/// MASK: what a place of the crop, all channels, adds to the gradient of its attention.
template <typename T>
struct WindowGradient {
  CropBoxes<T> boxes;
  T steepness, scale;
  const T *dy, *largest;
  T* terms;  // [num, 3, size, size]
  CAFFE_HD void operator()(int i) const {
    const int size = boxes.size, outputs = size * size, at = i % outputs, image = i / outputs;
    T strength = T(0);
    for (int c = 0; c < boxes.channels; ++c) {
      const int64_t plane = static_cast<int64_t>(image) * boxes.channels + c;
      if (largest[plane] > T(0)) strength += std::fabs(dy[plane * outputs + at]) / largest[plane];
    }
    strength *= scale;
    const T half = boxes.half(image);
    const WindowSide<T> across(boxes.columns(image).place(at % size).at, boxes.value(image, 0),
                               half, steepness);
    const WindowSide<T> down(boxes.rows(image).place(at / size).at, boxes.value(image, 1), half,
                             steepness);
    T* const to = terms + static_cast<int64_t>(image) * 3 * outputs + at;
    to[0] = strength * across.centre * down.value;
    to[outputs] = strength * across.value * down.centre;
    to[2 * outputs] = strength * (across.half * down.value + across.value * down.half);
  }
};

/// For channel_sums, whose channel c is here one number of one image's attention.
template <typename T>
struct StoreAttention {
  T half_side_slope;
  T* diff;  // [num, 3]
  CAFFE_HD void operator()(int c, double sum, double) const {
    diff[c] = static_cast<T>(sum) + (c % 3 == 2 ? half_side_slope : T(0));
  }
};

template <typename T>
CropBoxes<T> boxes_of(const AttentionCropParameter& param, const Blob<T>& images,
                      const Blob<T>& attention) {
  CropBoxes<T> boxes = {};  // no byte of a kernel's argument is left undefined
  boxes.channels = images.shape(1);
  boxes.height = images.shape(2);
  boxes.width = images.shape(3);
  boxes.size = static_cast<int>(param.output_size());
  boxes.whole = param.gradient() == AttentionCropParameter::MASK;
  boxes.least = T(param.least_half_side()) * static_cast<T>(std::min(boxes.height, boxes.width));
  boxes.attention = attention.active_data();
  return boxes;
}

}  // namespace

template <typename Dtype>
void AttentionCropLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const AttentionCropParameter& param = this->layer_param_.attention_crop_param();
  exact_ = param.gradient() == AttentionCropParameter::EXACT;
  rounds_ = !exact_ && param.round_to_8_bit();
  constexpr unsigned kMost = 1 << 14;
  CAFFE_CHECK(param.output_size() > 0 && param.output_size() <= kMost,
              this->name() << "output_size must be from 1 to " << kMost << "; it is "
                           << param.output_size());
  CAFFE_CHECK(param.least_half_side() > 0 && param.least_half_side() <= 1,
              this->name() << "least_half_side is a share of the image's smaller side, above 0 and "
                           << "up to 1; it is " << param.least_half_side());
  CAFFE_CHECK(param.steepness() > 0,
              this->name() << "steepness must be above 0; it is " << param.steepness());
}

template <typename Dtype>
void AttentionCropLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const AttentionCropParameter& param = this->layer_param_.attention_crop_param();
  CAFFE_CHECK(bottom[0]->num_axes() == 4 && bottom[0]->count(1) > 0,
              this->name() << "bottom 0, the images, needs four axes, N x C x H x W; it is "
                           << bottom[0]->shape_string());
  const int images = bottom[0]->shape(0), channels = bottom[0]->shape(1);
  CAFFE_CHECK(
      bottom[1]->num_axes() >= 1 && bottom[1]->shape(0) == images && bottom[1]->count(1) == 3,
      this->name() << "bottom 1, the attention tx, ty, tl of each image, needs the shape " << images
                   << " x 3; it is " << bottom[1]->shape_string());
  const int size = static_cast<int>(param.output_size());
  top[0]->Reshape({images, channels, size, size});
  attention_diff_.Reshape({images, 3, size, size});
  if (!exact_) largest_.Reshape({images, channels});
  if (!rounds_) return;
  std::vector<float> mean(param.mean_value().begin(), param.mean_value().end());
  if (mean.empty()) mean = {109.961f, 127.21f, 123.645f};
  CAFFE_CHECK(mean.size() == 1 || static_cast<int>(mean.size()) == channels,
              this->name() << "rounding to the levels of 8-bit images needs a mean_value for each "
                           << "of the " << channels << " channels, or one for all; there are "
                           << mean.size() << " (round_to_8_bit: false rounds nothing)");
  if (mean_.count() == channels) return;
  mean_.Reshape({channels});
  for (int c = 0; c < channels; ++c) {
    mean_.mutable_cpu_data()[c] = Dtype(mean[mean.size() == 1 ? 0 : c]);
  }
}

template <typename Dtype>
void AttentionCropLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const AttentionCropParameter& param = this->layer_param_.attention_crop_param();
  parallel_rows(top[0]->count(), 16,
                CropValue<Dtype>{boxes_of(param, *bottom[0], *bottom[1]),
                                 rounds_ ? mean_.active_data() : nullptr, bottom[0]->active_data(),
                                 top[0]->mutable_active_data()});
}

template <typename Dtype>
void AttentionCropLayer<Dtype>::attention_gradient(const Blobs& top, const Blobs& bottom) {
  const AttentionCropParameter& param = this->layer_param_.attention_crop_param();
  const CropBoxes<Dtype> boxes = boxes_of(param, *bottom[0], *bottom[1]);
  const int places = bottom[0]->shape(0) * top[0]->count(2);
  const Dtype* const dy = top[0]->active_diff();
  Dtype* const terms = attention_diff_.mutable_active_data();
  if (exact_) {
    parallel_rows(places, 16 * int64_t(boxes.channels),
                  CropPlaceGradient<Dtype>{boxes, bottom[0]->active_data(), dy, terms});
  } else {
    parallel_teams(current_device(), top[0]->count(0, 2), top[0]->count(2),
                   LargestGradient<Dtype>{top[0]->count(2), dy, largest_.mutable_active_data()});
    parallel_rows(places, 64,
                  WindowGradient<Dtype>{boxes, Dtype(param.steepness()), Dtype(param.mask_scale()),
                                        dy, largest_.active_data(), terms});
  }
  channel_sums(ChannelShape{1, bottom[1]->count(), top[0]->count(2)}, PlainTerms<Dtype>{terms},
               &sums_,
               StoreAttention<Dtype>{exact_ ? Dtype(0) : Dtype(param.half_side_slope()),
                                     bottom[1]->mutable_active_diff()});
}

template <typename Dtype>
void AttentionCropLayer<Dtype>::Backward_any(const Blobs& top,
                                             const std::vector<bool>& propagate_down,
                                             const Blobs& bottom) {
  if (propagate_down[1] && bottom[1]->count() > 0) attention_gradient(top, bottom);
  if (!propagate_down[0]) return;
  Dtype* const dx = bottom[0]->mutable_active_diff();
  if (!exact_) {
    active_set(bottom[0]->count(), Dtype(0), dx);
    return;
  }
  const AttentionCropParameter& param = this->layer_param_.attention_crop_param();
  parallel_rows(
      bottom[0]->count(), 32,
      CropImageGradient<Dtype>{boxes_of(param, *bottom[0], *bottom[1]), top[0]->active_diff(), dx});
}

INSTANTIATE_CLASS(AttentionCropLayer);
REGISTER_LAYER_CLASS(AttentionCrop);

}  // namespace caffe
